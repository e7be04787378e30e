package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options of a [Registry]; all may be left out.
type Options struct {
	Now    func() time.Time
	Logger *zap.Logger // one warning for each bite
	// ForeignCA says that the CA is not the built-in one: faults inside it cannot
	// be had then, nor those for which it makes a certificate.
	ForeignCA bool
}

// maxFaults bounds what the management API may order.
const maxFaults = 1000

// Registry holds the faults that are on. Its zero value is not ready: use
// [NewRegistry]. It is safe for concurrent use.
type Registry struct {
	now     func() time.Time
	log     *zap.Logger
	foreign bool

	mu        sync.Mutex // guards all below and the state of every fault
	all       []*active
	nextID    int
	bound     map[string]*Scope // connections of selected enrollments, by the client's address
	over      chan struct{}     // closed by Clear, for who waits in a fault
	authority Authority         // nil where none is behind the front end

	generation atomic.Uint64
}

// active is a fault that is on.
type active struct {
	id      string
	fault   Fault
	expires time.Time // zero = never
	skipped int
	hits    int
	random  *rand.Rand
}

// Status tells of a fault that is on.
type Status struct {
	ID        string     `json:"id"`
	Spec      string     `json:"spec"`
	Place     string     `json:"place"`
	What      string     `json:"what"` // happens there
	Whom      string     `json:"whom"` // it bites
	Label     string     `json:"label,omitempty"`
	CN        string     `json:"cn,omitempty"`
	Hits      int        `json:"hits"`
	Remaining *int       `json:"remaining,omitempty"` // of count
	Expires   *time.Time `json:"expires,omitempty"`
}

// NewRegistry returns a registry without faults.
func NewRegistry(o Options) *Registry {
	r := &Registry{now: o.Now, log: o.Logger, foreign: o.ForeignCA, bound: map[string]*Scope{}, over: make(chan struct{})}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	return r
}

// Order turns a fault on by its spec and returns its id. The error is a
// *SpecError, or says that there are too many.
func (r *Registry) Order(spec string) (id string, err error) {
	f, err := r.parse(spec)
	if err != nil {
		return "", err
	}
	return r.Add(f)
}

func (r *Registry) parse(spec string) (Fault, error) {
	f, err := Parse(spec)
	if err == nil {
		err = r.check(f)
	}
	return f, err
}

func (r *Registry) check(f Fault) error {
	if r.foreign && f.Place.AtCA() {
		return &SpecError{Spec: f.String(), Part: string(f.Place), Message: "is inside the CA, and only the built-in one can have it: order it from ra lab or ra certsrv (--fault, or its own admin port)"}
	}
	if r.foreign && f.Place.AtEST() && needsAuthority(f) {
		return &SpecError{Spec: f.String(), Part: f.Value, Message: "needs certificates that only the lab's CA makes: order it from ra lab"}
	}
	if r.foreign && f.Place == ESTTLS && needsCertificate(f.Kind) {
		return &SpecError{Spec: f.String(), Part: f.Kind, Message: "needs a certificate for the RA with something wrong about it, and only the lab's CA makes one: order it from ra lab"}
	}
	return nil
}

// Add turns a fault on and returns its id.
func (r *Registry) Add(f Fault) (id string, err error) {
	if err := r.check(f); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxFaults {
		return "", fmt.Errorf("there are %d faults on already: remove some", maxFaults)
	}
	r.nextID++
	a := r.activate(f)
	a.id = strconv.Itoa(r.nextID)
	r.all = append(r.all, a)
	switch f.Place {
	case Resolve, CertsrvTLS, CertsrvLogin: // what a connection that is kept never meets
		if !f.selects() { // else it is for those that get connections of their own
			r.generation.Add(1)
		}
	}
	return a.id, nil
}

// Generation grows with each fault on the way to a connection that is logged in: those
// made before would pass it by. It is an RA's server.Hooks.Generation.
func (r *Registry) Generation() uint64 { return r.generation.Load() }

func (r *Registry) activate(f Fault) *active {
	f.over = make(chan struct{})
	a := &active{fault: f}
	if f.For > 0 {
		a.expires = r.now().Add(f.For)
	}
	if f.Probability > 0 {
		a.random = rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // the same every time is what a seed is for
	}
	return a
}

// Remove turns a fault off and tells whether it was on. What waits in it goes on, or
// ends.
func (r *Registry) Remove(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.all, func(a *active) bool { return a.id == id })
	if i < 0 {
		return false
	}
	close(r.all[i].fault.over)
	r.all = slices.Delete(r.all, i, i+1)
	return true
}

// Clear turns all faults off and returns how many there were. What waits in one
// goes on, or ends.
func (r *Registry) Clear() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.all)
	r.all = nil
	close(r.over)
	r.over = make(chan struct{})
	return n
}

// List tells of the faults that are on, in the order in which they came.
func (r *Registry) List() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.all))
	for _, a := range r.all {
		if r.spent(a) {
			continue
		}
		entry, _ := entryOf(a.fault.Place, a.fault.Kind)
		s := Status{
			ID: a.id, Spec: a.fault.String(), Hits: a.hits,
			Place: string(a.fault.Place), What: entry.Help, Whom: a.fault.Whom(), Label: a.fault.Label, CN: a.fault.CN,
		}
		if a.fault.Count > 0 {
			left := a.fault.Count - a.hits
			s.Remaining = &left
		}
		if !a.expires.IsZero() {
			s.Expires = &a.expires
		}
		list = append(list, s)
	}
	return list
}

// spent tells whether a fault's time or count is up; mu is held.
func (r *Registry) spent(a *active) bool {
	return a.fault.Count > 0 && a.hits >= a.fault.Count || !a.expires.IsZero() && !r.now().Before(a.expires)
}

// bite returns the faults at one of the places that bite now, those of the
// enrollment before those of everybody, and counts them. wanted narrows them.
func (r *Registry) bite(scope *Scope, wanted func(Fault) bool, places ...Place) []Fault {
	return r.meet(scope, true, wanted, places...)
}

// meet is bite, of the enrollment's own faults alone where everybodys is false.
func (r *Registry) meet(scope *Scope, everybodys bool, wanted func(Fault) bool, places ...Place) []Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []Fault
	take := func(all []*active, whose string) {
		for _, a := range all {
			if !slices.Contains(places, a.fault.Place) || wanted != nil && !wanted(a.fault) || r.spent(a) || !a.fault.isFor(scope) {
				continue
			}
			if a.skipped < a.fault.Skip {
				a.skipped++
				continue
			}
			if a.random != nil && a.random.Float64() >= a.fault.Probability {
				continue
			}
			a.hits++
			f := a.fault
			f.cleared = r.over // now: a Clear that comes before it waits ends it, too
			faults = append(faults, f)
			r.log.Warn("fault", zap.String("fault", a.fault.String()), zap.String("of", whose), zap.Int("hits", a.hits), zap.String("enrollment", scope.Enrollment()))
		}
	}
	if scope != nil {
		take(scope.faults, "enrollment")
	}
	if everybodys {
		take(r.all, "all")
	}
	return faults
}

// Scope is what one enrollment has selected for itself.
type Scope struct {
	registry   *Registry
	enrollment string
	faults     []*active // guarded by the registry's mu, as all below
	label      string
	names      []string // of its CSR, where a fault asks for them
	apart      bool     // a fault for its label or name will bite behind the front end
}

type scopeKey struct{}

// WithScope returns a context in which an enrollment may select faults; id names
// it in the log.
func (r *Registry) WithScope(ctx context.Context, id string) (context.Context, *Scope) {
	s := &Scope{registry: r, enrollment: id}
	return context.WithValue(ctx, scopeKey{}, s), s
}

// ScopeOf returns the enrollment's scope; nil where there is none.
func ScopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// Select adds a fault for this enrollment alone.
func (s *Scope) Select(f Fault) {
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	s.faults = append(s.faults, s.registry.activate(f))
}

// Selected tells whether the enrollment has selected any fault, or been selected by one,
// so that it needs connections of its own.
func (s *Scope) Selected() bool {
	if s == nil {
		return false
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	return len(s.faults) > 0 || s.apart
}

// Enrollment is the id that the scope was made with.
func (s *Scope) Enrollment() string {
	if s == nil {
		return ""
	}
	return s.enrollment
}

// bind notes that a connection is a selected enrollment's.
func (r *Registry) bind(conn net.Conn, s *Scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound[conn.LocalAddr().String()] = s
}

func (r *Registry) unbind(conn net.Conn, s *Scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := conn.LocalAddr().String(); r.bound[key] == s {
		delete(r.bound, key)
	}
}

// scopeAt returns the scope of the enrollment that connects from an address.
func (r *Registry) scopeAt(address string) *Scope {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bound[address]
}
