package lab

import (
	"context"
	"net"
	"regexp"
	"sync"

	"ciscora/est"
	"ciscora/msca/certsrv"
	"ciscora/ra/admin"
	"ciscora/ra/fault"
	"ciscora/ra/server"
	"ciscora/ra/tracelog"
)

// testLabel is an EST label that any test may make up for itself. What comes under it
// goes by the default template, and by connections to the CA of its own; its refused
// log-ins are counted apart. So tests that run at the same time see nothing of each other.
var testLabel = regexp.MustCompile(`^test-[A-Za-z0-9._-]{1,64}$`)

// IsTestLabel tells whether a label is a test's.
func IsTestLabel(label string) bool { return testLabel.MatchString(label) }

// setApart makes hooks know the labels of tests.
func setApart(h *server.Hooks) {
	label, isolate := h.Label, h.Isolate
	h.Label = func(name string) bool { return label(name) || IsTestLabel(name) }
	h.Isolate = func(ctx context.Context) bool { return isolate(ctx) || IsTestLabel(est.Label(ctx)) }
	h.Apart = IsTestLabel
}

// callers know whose each connection to the CA is, where it is one enrollment's alone.
type callers struct {
	alone func(context.Context) bool
	book  *logBook

	mu sync.Mutex            // guards by
	by map[string]admin.Line // by its address; what a line has of it

	iis   sync.Mutex // guards line and about
	line  *tracelog.W3C
	about admin.Line
}

func newCallers(book *logBook, alone func(context.Context) bool) *callers {
	c := &callers{alone: alone, book: book, by: map[string]admin.Line{}}
	c.line = tracelog.NewW3C(lineWriter(func(text []byte) (int, error) {
		c.book.add("iis", c.about, text)
		return len(text), nil
	}))
	return c
}

// seen puts a line of IIS's log into the book.
func (c *callers) seen(e certsrv.AccessEntry) {
	address := net.TCPAddr{IP: net.ParseIP(e.ClientIP), Port: e.ClientPort}
	c.mu.Lock()
	about := c.by[address.String()]
	c.mu.Unlock()
	c.iis.Lock()
	defer c.iis.Unlock()
	c.about = about
	c.line.Log(tracelog.W3CEntry(e))
}

// dial notes whose the connections are.
func (c *callers) dial(next server.DialFunc) server.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil || est.RequestID(ctx) == "" || !c.alone(ctx) {
			return conn, err
		}
		key := conn.LocalAddr().String()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.by[key] = admin.Line{Enrollment: est.RequestID(ctx), Label: est.Label(ctx)}
		return &callersConn{Conn: conn, release: sync.OnceFunc(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.by, key)
		})}, nil
	}
}

type callersConn struct {
	net.Conn
	release func()
}

// NetConn returns the connection beneath.
func (c *callersConn) NetConn() net.Conn { return c.Conn }

func (c *callersConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// admin is what the lab's admin port has besides.
func (l *Lab) admin(hosts []string, template string) *admin.Lab {
	return &admin.Lab{
		Info:           func() admin.Info { return l.info(hosts, template) },
		Lines:          l.book.of,
		ForgetLedger:   func(ctx context.Context) error { return l.ra.ForgetLedger(ctx) },
		ForgetRequests: func() error { return l.ca.Forget() },
	}
}

func (l *Lab) info(hosts []string, template string) admin.Info {
	return admin.Info{
		Version: l.options.Version, Profile: string(l.Profile), Template: template, Seed: l.options.Seed,
		EST: admin.InfoEST{
			InfoAddress: l.at.est, Hosts: hosts, AnyHost: l.options.AnyHost,
			Labels: []string{"wifi", "supervised", "test-NAME", fault.LabelPrefix + "SPEC"},
		},
		Certsrv: l.at.certsrv, Admin: l.at.admin,
		Account: admin.InfoAccount{User: l.creds.User, Password: string(l.creds.Password)},
		Dir:     l.Dir, Trust: l.Path(fileTrust), Logs: l.Path("logs"),
	}
}
