package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Recording is how a CA answered, in words that hold no name, no number of a request,
// and no secret: what is written down is chosen from known words, and all else is left
// out or counted.
type Recording struct {
	Format int      `yaml:"format"`
	By     string   `yaml:"by"` // the version of ra
	TLS    TLSShown `yaml:"tls"`
	Steps  []Step   `yaml:"steps"`
	// Assumptions are those of docs/reference/adcs-assumptions.md that nobody has seen at a
	// real CA, and what this one tells of each.
	Assumptions []Assumption `yaml:"assumptions"`
}

// TLSShown is what the handshake told.
type TLSShown struct {
	Version      string `yaml:"version"`
	Certificates int    `yaml:"certificates"` // that were sent
	Key          string `yaml:"key"`          // of the server's
	Signature    string `yaml:"signature"`
}

// Step is one request and its answer.
type Step struct {
	Step    string            `yaml:"step"`
	Request string            `yaml:"request"`
	LogIn   string            `yaml:"log_in"` // none, under way, done
	Agent   string            `yaml:"agent,omitempty"`
	Failed  string            `yaml:"failed,omitempty"` // in place of an answer
	Status  int               `yaml:"status,omitempty"`
	Millis  int64             `yaml:"milliseconds"`
	Interim []int             `yaml:"interim,omitempty"`
	Head    []string          `yaml:"head,omitempty"` // in order
	Body    map[string]string `yaml:"body,omitempty"`
}

// Assumption is a line of docs/reference/adcs-assumptions.md, and what was seen of it.
type Assumption struct {
	Assumed string `yaml:"assumed"`
	Section string `yaml:"section"`
	Holds   string `yaml:"holds"` // yes, no, or not told
	Seen    string `yaml:"seen"`
}

// LoggedIn tells whether the CA took the account: without that there is nothing of what it
// answers to one.
func (r *Recording) LoggedIn() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.LogIn == "done" })
}

const (
	recordingFormat  = 1
	maxRecording     = 1 << 20
	maxRecordedSteps = 100
)

const recordingHead = `# How a Microsoft CA's Web Enrollment answered, written by ra check ca --record.
# Names, numbers of requests, dates and tokens are not in it: read it before you pass it
# on. ra certsrv --compare FILE says where the built-in CA answers otherwise.
`

// Write writes the recording as text.
func (r *Recording) Write(w io.Writer) error {
	text, err := yaml.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	_, err = w.Write(append([]byte(recordingHead), text...))
	return err
}

// ReadRecording reads what Write wrote, on whatever machine.
func ReadRecording(from io.Reader) (*Recording, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxRecording+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxRecording:
		return nil, errors.New("it is longer than a recording: is it the right file?")
	}
	var r Recording
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&r); err != nil {
		// Of the library's words those that name a type in this program help nobody.
		told := strings.NewReplacer("yaml: construct errors: ", "", " into check.Recording", "", " in type check.Recording", "").Replace(err.Error())
		return nil, fmt.Errorf("it is no recording of ra check ca --record, or was changed since: %s", short(told))
	}
	switch {
	case r.Format != recordingFormat:
		return nil, fmt.Errorf("its format is %d, this version reads %d: record it anew", r.Format, recordingFormat)
	case len(r.Steps) == 0 || len(r.Steps) > maxRecordedSteps:
		return nil, fmt.Errorf("it has %d steps, want 1 to %d", len(r.Steps), maxRecordedSteps)
	}
	return &r, nil
}
