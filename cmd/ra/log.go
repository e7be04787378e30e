package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"ciscora/internal/printable"
)

// newLogger logs JSON, one event a line, to w, which may be a terminal.
func newLogger(w io.Writer, level string) (*zap.Logger, error) {
	var l zapcore.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("log level %q: want debug, info, warn or error", level)
	}
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.Lock(zapcore.AddSync(printable.JSON(w))), l)), nil
}

// newPlainLogger writes errors alone to w, for people: what happened, why, and the rest
// behind it.
func newPlainLogger(w io.Writer) *zap.Logger {
	return zap.New(&plainCore{LevelEnabler: zapcore.ErrorLevel, w: zapcore.Lock(zapcore.AddSync(w))})
}

type plainCore struct {
	zapcore.LevelEnabler

	w      zapcore.WriteSyncer
	fields []zapcore.Field
}

// With implements [zapcore.Core].
func (c *plainCore) With(fields []zapcore.Field) zapcore.Core {
	return &plainCore{c.LevelEnabler, c.w, slices.Concat(c.fields, fields)}
}

// Check implements [zapcore.Core].
func (c *plainCore) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements [zapcore.Core].
func (c *plainCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	text := "ra: " + e.Message
	if why, ok := values.Fields["error"]; ok {
		text += fmt.Sprint(": ", why)
	}
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		switch name {
		case "error", "errorVerbose", "stacktrace":
		default:
			text += fmt.Sprintf(", %s %v", name, values.Fields[name])
		}
	}
	const most = 2000 // of what came from outside
	_, err := io.WriteString(c.w, printable.Line(text, most)+"\n")
	return err
}

// Sync implements [zapcore.Core].
func (c *plainCore) Sync() error { return c.w.Sync() }
