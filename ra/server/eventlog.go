package server

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ciscora/est"
	"ciscora/msca"
	"ciscora/ra"
)

// eventLog writes the structured log: one event a line, and the enrollment's id
// on each.
type eventLog struct {
	log *zap.Logger
	// collects tells whether under a label a certificate whose client is gone is kept for
	// its retry.
	collects func(label string) bool
}

func (l *eventLog) event(ctx context.Context, event any) {
	log := l.log
	if id := est.RequestID(ctx); id != "" {
		log = log.With(zap.String("enrollment", id))
	}
	switch e := event.(type) {
	case est.Received:
		log.Debug("request", zap.String("method", e.Method), zap.String("path", e.Path), zap.String("client", address(e.Client)), zap.String("user_agent", e.UserAgent))
	case est.Challenged:
		log.Debug("asked for credentials")
	case est.Answered:
		fields := []zap.Field{
			zap.String("method", e.Received.Method), zap.String("path", e.Received.Path), zap.String("label", e.Received.Label),
			zap.String("client", address(e.Client)), zap.Int("status", e.Status), zap.Int64("bytes", e.Bytes), zap.Duration("took", e.Duration),
		}
		if e.Err != nil {
			fields = append(fields, zap.NamedError("reason", cause(e.Err)))
		}
		log.Info("answered", fields...)
		if e.Status == http.StatusOK && !e.Delivered && slices.Contains(enrollOperations, e.Received.Operation) {
			what := "which nobody collects"
			if l.collects(e.Received.Label) {
				what = "which is kept for its retry"
			}
			log.Warn("the client was gone before its certificate, "+what, zap.Duration("took", e.Duration))
		}
	case ra.Leg:
		log.Check(legLevel(e), "ca leg").Write(legFields(e)...)
	case ra.Started:
		log.Info("logged in to the CA, chain read", zap.Int("attempt", e.Attempt), zap.Strings("chain", oneLineSubjects(e.Chain)), zap.Duration("took", e.Took))
	case ra.StartFailed:
		if e.Refused {
			log.Info("no chain before the RA's own account may log in again", zap.Int("attempt", e.Attempt)) // OwnRefused has told why
			return
		}
		log.Error("start failed, no chain; trying again", zap.Int("attempt", e.Attempt), zap.Duration("in", e.Next), zap.Error(e.Err))
	case ra.OwnRefused:
		log.Error("the CA refused the RA's own account: nobody tries it again before the time given, or until the credentials file changes (ca.credentials)",
			zap.String("account", e.Account), zap.Time("until", e.Until), zap.Error(e.Err))
	case ra.Refreshed:
		level := zapcore.DebugLevel
		if e.Changed {
			level = zapcore.InfoLevel
		}
		log.Check(level, "chain refreshed").Write(zap.Bool("changed", e.Changed), zap.Strings("chain", oneLineSubjects(e.Chain)))
	case ra.RefreshFailed:
		log.Warn("chain not refreshed, the old one stays", zap.Error(e.Err))
	case ra.IssuerMissing:
		log.Warn("the CA issues under a certificate that /cacerts does not have: clients cannot verify theirs; set ca.renewal to newest, or to its number (certcarc.asp)",
			zap.String("issuer", e.Issuer), zap.String("key_id", hex.EncodeToString(e.KeyID)))
	case ra.Authenticated:
		log.Info("authenticated", zap.String("method", e.Method), zap.String("account", e.Account), zap.String("template", e.Template), zap.Bool("vouched", e.Vouched))
	case ra.NotAuthenticated:
		log.Warn("not authenticated", zap.String("account", e.Account), zap.Error(cause(e.Err)))
	case ra.Enrolling:
		log.Info("enrolling", zap.String("subject", e.Subject), zap.String("template", e.Template), zap.Bool("renewal", e.Renewal))
	case ra.Submitted:
		log.Info("submitted", zap.Int("req_id", e.ReqID))
	case ra.Issued:
		log.Info("issued", zap.Int("req_id", e.ReqID), zap.String("serial", e.Certificate.SerialNumber.Text(16)), zap.Time("not_after", e.Certificate.NotAfter))
	case ra.Joined:
		log.Info("the same request is known: shared", zap.Int64("row", e.Row), zap.Int("req_id", e.ReqID), zap.String("state", e.State))
	case ra.Found:
		log.Warn("the POST had ended without an answer; its certificate was found at the CA", zap.Int64("row", e.Row), zap.Int("req_id", e.ReqID))
	case ra.Recovered:
		log.Info("collected for a client that is gone; its retry gets it", zap.Int64("row", e.Row), zap.Int("req_id", e.ReqID), zap.String("serial", e.Certificate.SerialNumber.Text(16)))
	case ra.RecoveryFailed:
		log.Warn("not collected, trying again later", zap.Int64("row", e.Row), zap.Int("req_id", e.ReqID), zap.Error(e.Err))
	case ra.PossibleOrphan:
		if len(e.Candidates) == 0 {
			log.Error("possible orphan: a POST ended without an answer, and nobody looks for its certificate; compare with the CA's list of issued certificates", zap.Int64("row", e.Row), zap.Time("submitted", e.Submitted))
			return
		}
		log.Error("possible orphan: a POST ended without an answer, and these requests may be its own: look them up at the CA, then ra ledger resolve", zap.Int64("row", e.Row), zap.Time("submitted", e.Submitted), zap.Ints("candidates", e.Candidates))
	case ra.NeverArrived:
		log.Warn("a POST that ended without an answer never became a request at the CA: the next one is sent", zap.Int64("row", e.Row), zap.Time("submitted", e.Submitted))
	case ra.LedgerFailed:
		log.Error("ledger: could not "+e.What, zap.Int64("row", e.Row), zap.Int("req_id", e.ReqID), zap.Error(e.Err))
	case ra.LedgerBack:
		log.Info("the ledger can be used again")
	case ra.NotIssued:
		log.Warn("not issued", zap.Int("req_id", e.ReqID), zap.Bool("pending", e.Pending), zap.Int("status", e.Status), zap.Error(e.Err))
	}
}

// cause is what really happened, where the client is told less.
func cause(err error) error {
	var answer *ra.Error
	if errors.As(err, &answer) && answer.Cause != nil {
		return answer.Cause
	}
	return err
}

func legLevel(e ra.Leg) zapcore.Level {
	var ca *msca.Error
	if e.Err == nil || noNumberYet(e) || errors.As(e.Err, &ca) && ca.Kind == msca.KindPending {
		return zapcore.InfoLevel
	}
	return zapcore.WarnLevel
}

// noNumberYet tells a look for the CA's newest number that went beyond it, as each of them
// does in the end. A number that a client waits for is told by its enrollment, too.
func noNumberYet(e ra.Leg) bool {
	var ca *msca.Error
	return e.Phase == msca.PhaseFetch && errors.As(e.Err, &ca) && ca.Kind == msca.KindUnknownRequest
}

func legFields(e ra.Leg) []zap.Field {
	fields := []zap.Field{
		zap.String("phase", string(e.Phase)), zap.String("url", e.URL), zap.Duration("took", e.Duration),
		zap.Int("status", e.Status), zap.Int("bytes", e.Bytes),
	}
	if e.Attempt > 0 {
		fields = append(fields, zap.Int("attempt", e.Attempt))
	}
	if e.ReqID != 0 {
		fields = append(fields, zap.Int("req_id", e.ReqID))
	}
	var ca *msca.Error
	if errors.As(e.Err, &ca) {
		name := "error"
		if noNumberYet(e) {
			name = "says"
		}
		fields = append(fields, zap.String("kind", string(ca.Kind)), zap.NamedError(name, ca))
		if ca.HRESULT != 0 {
			fields = append(fields, zap.String("symbol", ca.Symbol))
		}
	} else if e.Err != nil {
		fields = append(fields, zap.Error(e.Err))
	}
	return fields
}
