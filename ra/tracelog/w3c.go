package tracelog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// W3CEntry is one request in IIS's log. Values are as they came; the empty
// string is what IIS logs as a hyphen (docs/reference/certsrv.md 1.4).
type W3CEntry struct {
	Time     time.Time // logged in UTC
	ServerIP string
	Method   string
	URIStem  string
	URIQuery string // without the question mark
	Port     int
	User     string // MICHAMEN\ciscora
	ClientIP string
	// ClientPort is in none of the default fields.
	ClientPort int
	UserAgent  string
	Referer    string
	Status     int
	SubStatus  int
	Win32      uint32
	Taken      time.Duration // logged in whole milliseconds
}

// W3C writes IIS's access log with IIS's default fields.
type W3C struct {
	mu     sync.Mutex // guards all below
	dir    string     // where the daily files are; "" with a writer from outside
	day    string     // name of the open daily file
	w      io.Writer
	file   *os.File // w, where it is ours to close
	headed bool     // whether w has its header
	err    error
}

// NewW3C writes to w: the header, with the first entry's time, and the entries.
func NewW3C(w io.Writer) *W3C { return &W3C{w: w} }

// NewW3CDir writes daily files in dir, as [W3CFileName] names them, and starts
// a new one with the first entry of a new day in UTC. It makes dir where it is
// missing. Like IIS it appends a further header to a file that is there
// already. Close it when done.
func NewW3CDir(dir string) (*W3C, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder of the IIS log: %w", err)
	}
	return &W3C{dir: dir}, nil
}

// W3CFileName is the name of IIS's log for t's day in UTC: u_ex190305.log.
func W3CFileName(t time.Time) string { return "u_ex" + t.UTC().Format("060102") + ".log" }

// Log writes one entry. Its error is kept for [W3C.Err]: a log that cannot be
// written stops no request.
func (l *W3C) Log(e W3CEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = l.log(e)
}

// Err is the error of the last entry; nil when it was written.
func (l *W3C) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Reopen closes the daily file and opens it anew under its name: whoever moved it away
// gets a new one, at once and not with the next request.
func (l *W3C) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil // the next entry opens it
	}
	return l.roll(l.day)
}

// Close closes the daily file. Entries after it open the file anew.
func (l *W3C) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeFile()
}

func (l *W3C) log(e W3CEntry) error {
	// Forward only: an entry from before midnight that comes late goes into the
	// new day's file.
	if day := W3CFileName(e.Time); l.dir != "" && (l.file == nil || day > l.day) {
		if err := l.roll(day); err != nil {
			return err
		}
	}
	text := e.line()
	if !l.headed {
		text = w3cHeader(e.Time) + text
	}
	if _, err := io.WriteString(l.w, text); err != nil {
		return fmt.Errorf("write IIS log: %w", err)
	}
	l.headed = true
	return nil
}

func (l *W3C) roll(day string) error {
	closing := l.closeFile()
	file, err := os.OpenFile(filepath.Join(l.dir, day), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640) //nolint:gosec // a log that an administrator's group reads
	if err != nil {
		return errors.Join(closing, fmt.Errorf("open IIS log: %w", err))
	}
	l.file, l.w, l.day, l.headed = file, file, day, false
	return closing
}

func (l *W3C) closeFile() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.w = nil, nil
	if err != nil {
		return fmt.Errorf("close IIS log: %w", err)
	}
	return nil
}

func w3cHeader(t time.Time) string {
	return "#Software: Microsoft Internet Information Services 10.0\n" +
		"#Version: 1.0\n" +
		"#Date: " + t.UTC().Format(time.DateTime) + "\n" +
		"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip" +
		" cs(User-Agent) cs(Referer) sc-status sc-substatus sc-win32-status time-taken\n"
}

func (e W3CEntry) line() string {
	return strings.Join([]string{
		e.Time.UTC().Format(time.DateTime),
		w3cField(e.ServerIP),
		w3cField(e.Method),
		w3cField(e.URIStem),
		w3cField(e.URIQuery),
		strconv.Itoa(e.Port),
		w3cField(e.User),
		w3cField(e.ClientIP),
		w3cField(e.UserAgent),
		w3cField(e.Referer),
		strconv.Itoa(e.Status),
		strconv.Itoa(e.SubStatus),
		strconv.FormatUint(uint64(e.Win32), 10),
		strconv.FormatInt(e.Taken.Milliseconds(), 10),
	}, " ") + "\n"
}

// w3cField is a value as one token: a blank would start the next field.
func w3cField(value string) string {
	if value == "" {
		return "-"
	}
	return strings.ReplaceAll(clean(value), " ", "+")
}
