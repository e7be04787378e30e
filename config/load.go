package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Environment looks up an environment variable, as [os.LookupEnv] does. nil
// stands for an empty environment.
type Environment func(name string) (value string, ok bool)

// maxFile bounds a configuration file: a thousand times what one needs.
const maxFile = 1 << 20

// LoadRA reads ra.yaml: the file over its profile's defaults, and the
// environment over both. Its paths are then absolute. The error is [Problems]
// with all that is wrong, or that of reading the file.
func LoadRA(path string, env Environment) (*RA, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseRA(path, data, env)
}

func parseRA(path string, data []byte, env Environment) (*RA, error) {
	l, err := newLoader(path, data, "RA", env)
	if err != nil {
		return nil, err
	}
	c := Default(l.profile())
	c.source = l.source
	l.load(reflect.ValueOf(&c).Elem())
	c.validate(l)
	if dsn, ok := strings.CutPrefix(c.Ledger.DSN, "sqlite:"); ok && !strings.HasPrefix(dsn, ":") {
		c.Ledger.DSN = "sqlite:" + l.absolute(dsn)
	}
	if err := l.problems.asError(); err != nil {
		return nil, err
	}
	return &c, nil
}

// LoadCertsrv reads certsrv.yaml, as [LoadRA] does ra.yaml.
func LoadCertsrv(path string, env Environment) (*Certsrv, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseCertsrv(path, data, env)
}

func parseCertsrv(path string, data []byte, env Environment) (*Certsrv, error) {
	l, err := newLoader(path, data, "RA_CERTSRV", env)
	if err != nil {
		return nil, err
	}
	c := DefaultCertsrv()
	c.source = l.source
	l.load(reflect.ValueOf(&c).Elem())
	c.validate(l)
	if err := l.problems.asError(); err != nil {
		return nil, err
	}
	return &c, nil
}

func readFile(path string) ([]byte, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return data, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %s, is it the right file?", path, Size(maxFile))
	}
	return data, nil
}

// loader sets one configuration from a file and the environment.
type loader struct {
	decoder
	tree   *yaml.Node // nil where the file holds nothing
	folder string     // of the file, absolute
	prefix string     // of the environment variables
	env    Environment
}

func newLoader(path string, data []byte, prefix string, env Environment) (*loader, error) {
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	l := &loader{folder: folder, prefix: prefix, env: env}
	l.source = &source{file: path, places: map[string]Place{"": {File: path, Line: 1, Column: 1}}}
	if l.tree, err = parseYAML(data); err != nil {
		var syntax *yaml.LoadError
		p := Problem{Place: Place{File: path}, Err: err}
		if errors.As(err, &syntax) {
			p.Place.Line, p.Place.Column = syntax.Mark.Line, syntax.Mark.Column
			p.Err = syntaxError(syntax)
		}
		return nil, Problems{p}
	}
	return l, nil
}

// syntaxError says what is wrong with a YAML text, without quoting it: it may
// be a password.
func syntaxError(e *yaml.LoadError) error {
	switch e.Stage {
	case yaml.ReaderStage, yaml.ScannerStage, yaml.ParserStage:
		return fmt.Errorf("no YAML: %s: indent with blanks, not tabs, and quote values that begin or go on with signs", e.Message)
	}
	return errors.New("no YAML: anchors, aliases and tags are not taken: a value that begins with &, * or ! must be quoted")
}

var errDocuments = errors.New("holds several documents, remove all but one, and the lines ---")

// parseYAML returns the root of the file's one document; nil where it holds
// none. The error is a *yaml.LoadError for wrong syntax.
func parseYAML(data []byte) (*yaml.Node, error) {
	documents, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var first, second yaml.Node
	if err := documents.Load(&first); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := documents.Load(&second); err == nil {
		return nil, errDocuments
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if first.Kind == yaml.DocumentNode && len(first.Content) > 0 {
		return first.Content[0], nil
	}
	return &first, nil
}

// load sets the configuration, which holds its defaults, and makes its paths
// absolute.
func (l *loader) load(root reflect.Value) {
	l.root = root.Type()
	if l.tree != nil {
		l.decode(l.tree, root, "", "")
	}
	l.environment(root)
	for key, v := range leaves(root) {
		l.requireValue(key, v)
	}
	l.resolve(root)
}

// environment sets the keys that have a variable.
func (l *loader) environment(root reflect.Value) {
	for key, v := range leaves(root) {
		name := variable(l.prefix, key)
		text, _ := l.env(name)
		if text == "" || !isScalar(v.Type()) {
			continue
		}
		l.source.places[key] = Place{Variable: name}
		if err := setScalar(v.Value, text, v.tag); err != nil {
			l.report(key, "%w", err)
		}
	}
}

func variable(prefix, key string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// profile returns the profile that the file or the environment names: it is
// needed before all else, for its defaults. An unknown one is reported when the
// keys are set.
func (l *loader) profile() Profile {
	if text, _ := l.env(variable(l.prefix, "profile")); text != "" {
		return Profile(text)
	}
	if l.tree != nil && l.tree.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(l.tree.Content); i += 2 {
			if l.tree.Content[i].Value == "profile" {
				return Profile(l.tree.Content[i+1].Value)
			}
		}
	}
	return ProfileModern
}

// resolve makes the paths of files absolute, also those in elements of lists.
func (l *loader) resolve(v reflect.Value) {
	for f, fv := range fields(v) {
		switch {
		case fv.Kind() == reflect.Struct:
			l.resolve(fv)
		case fv.Kind() == reflect.Slice && fv.Type().Elem().Kind() == reflect.Struct:
			for i := range fv.Len() {
				l.resolve(fv.Index(i))
			}
		case f.Tag.Get("file") == "":
		case fv.Kind() == reflect.Slice:
			for i := range fv.Len() {
				fv.Index(i).SetString(l.absolute(fv.Index(i).String()))
			}
		default:
			fv.SetString(l.absolute(fv.String()))
		}
	}
}

func (l *loader) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.folder, path)
}
