package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// ownLog keeps the RA's structured log of a run, as ra serve writes it at level info: a card's
// tells may have lines of it.
type ownLog struct {
	mu    sync.Mutex
	lines []string
}

// ownLogFile is where it stands in a lab's folder at the end.
const ownLogFile = "ra.log"

// append puts it behind what stands in dir already: a card that is mended has two labs.
func (l *ownLog) append(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, ownLogFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("the RA's log: %w", err)
	}
	_, err = f.WriteString(strings.Join(l.all(), "\n") + "\n")
	return errors.Join(err, f.Close())
}

// maxOwnLines bounds it.
const maxOwnLines = 10000

// logger writes into it.
func (l *ownLog) logger() *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoding.EncodeDuration = zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.AddSync(l), zapcore.InfoLevel))
}

// Write takes one line.
func (l *ownLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < maxOwnLines {
		l.lines = append(l.lines, strings.TrimRight(string(line), "\n"))
	}
	return len(line), nil
}

func (l *ownLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
