package server

import (
	"crypto/tls"
	"crypto/x509"

	"go.uber.org/zap"

	"ciscora/config"
	"ciscora/est"
	"ciscora/internal/watched"
)

// keyEncryption is with what /serverkeygen encrypts, as its files have it now. Files that
// are no good leave what they held before. The keys are made by this RA, so whoever
// vouches for it on TLS vouches for them.
func (s *Server) keyEncryption(own *liveTLS, o Options) (est.KeyEncryption, error) {
	if !s.config.EST.ServerKeygen {
		return est.KeyEncryption{}, nil
	}
	live, err := watched.Open(watched.Source[config.KeygenFiles]{
		Files: s.config.KeygenFileNames,
		Read:  s.config.KeygenFiles,
		Now:   o.Now,
		Changed: func(f config.KeygenFiles) {
			o.Logger.Info("files of est.server_keygen read anew", zap.Int("keys", f.Keys.Len()), zap.Int("certificates", len(f.Certificates)))
		},
		Failed: func(err error) {
			o.Logger.Error("the changed files of est.server_keygen are not taken, what they held before stays", zap.Error(err))
		},
	})
	if err != nil {
		return est.KeyEncryption{}, err
	}
	s.look = append(s.look, func() { live.Get() })
	e := est.KeyEncryption{
		Signers:      func() []tls.Certificate { return own.made.Get().files.Certificates },
		Certificates: func() []*x509.Certificate { return live.Get().Certificates },
	}
	if s.config.EST.ServerKeygenKeys != "" {
		e.SecretKey = func(id []byte) []byte { return live.Get().Keys.Key(id) }
	}
	return e, nil
}
