package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// feedBeat is how often a page that is looked at is made anew, for all who look.
	feedBeat = time.Second
	// feedQuiet is how often a feed without news says that it is there.
	feedQuiet = 15 * time.Second
	// feedTimeout is how long a browser may leave news unread, which it does while
	// somebody reads.
	feedTimeout = 10 * time.Minute
	// feedLife ends each feed, whose browser then comes again: so one that stays open for
	// days holds nothing for long.
	feedLife = time.Hour
	maxFeeds = 500
)

var errTooManyFeeds = errors.New("too many pages are open: this one does not change by itself")

// feeds make each page that is looked at once a beat, for all who look at it.
type feeds struct {
	mu    sync.Mutex // guards all below
	open  int
	shots map[string]*shot // by what is shown
}

// shot is a page as it was at a time.
type shot struct {
	viewers int // guarded by the feeds' mu

	mu   sync.Mutex // held while it is made; guards all below
	at   time.Time
	html []byte
	last bool // it will not change any more
}

func (f *feeds) enter(key string) (*shot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open >= maxFeeds {
		return nil, errTooManyFeeds
	}
	f.open++
	s := f.shots[key]
	if s == nil {
		s = &shot{}
		f.shots[key] = s
	}
	s.viewers++
	return s, nil
}

func (f *feeds) leave(key string, s *shot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	if s.viewers--; s.viewers == 0 {
		delete(f.shots, key)
	}
}

// feedPage is the part of a page that changes. last: it will not change any more.
type feedPage struct {
	name string
	data any
	last bool
}

// fed makes what a feed shows, by its address.
func (c *console) fed(ctx context.Context, q url.Values) (feedPage, error) {
	switch q.Get("page") {
	case "overview":
		return feedPage{name: "overview", data: c.overviewData(ctx)}, nil
	case "live":
		return feedPage{name: "live", data: c.liveData(q.Get("cn"))}, nil
	case "requests":
		if c.Ledger == nil {
			break
		}
		d, err := c.requestsData(ctx, q)
		if err != nil {
			return feedPage{name: "problem", data: err.Error()}, nil //nolint:nilerr // the page tells it
		}
		return feedPage{name: "requests", data: d}, nil
	case "enrollment":
		return c.fedEnrollment(ctx, q.Get("id"))
	case "play":
		return c.fedPlay(q.Get("id"))
	}
	return feedPage{}, errNoFeed
}

var errNoFeed = errors.New("there is no such feed")

// look returns the page, made anew where it is older than a beat.
func (c *console) look(ctx context.Context, s *shot, q url.Values) (html []byte, last bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.html == nil || !s.last && now.Sub(s.at) > feedBeat*9/10 {
		p, err := c.fed(ctx, q)
		if err = cmp.Or(err, ctx.Err()); err != nil { // who looks is gone: that is no news for others
			return nil, false, err
		}
		var b bytes.Buffer
		if err := c.pages[p.name].ExecuteTemplate(&b, "content", p.data); err != nil {
			return nil, false, err
		}
		s.html, s.last, s.at = b.Bytes(), p.last, now
	}
	return s.html, s.last, nil
}

// feed sends a page's changing part whenever it has changed, as server-sent events.
func (c *console) feed(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	key := query.Encode()
	if len(key) > maxForm {
		http.Error(w, "the address is too long", http.StatusBadRequest)
		return
	}
	s, err := c.feeds.enter(key)
	if err != nil {
		w.Header().Set("Retry-After", "60")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer c.feeds.leave(key, s)
	ctx, cancel := context.WithTimeout(r.Context(), feedLife)
	defer cancel()
	html, last, err := c.look(ctx, s, query)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, errNoFeed):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case err != nil:
		c.Logger.Error("console: a page cannot be made", zap.Error(err))
		http.Error(w, "The page cannot be made: see the log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	send := func(text []byte) bool {
		_ = stream.SetWriteDeadline(time.Now().Add(feedTimeout)) // where there is none to set, none is needed
		_, err := w.Write(text)
		return err == nil && stream.Flush() == nil
	}
	beat := time.NewTicker(feedBeat)
	defer beat.Stop()
	// What the browser has already is not sent: it came with the page a moment ago. But
	// that moment is not known, so the first is.
	sum, quiet := sha256.Sum256(html), time.Now()
	if !send(event(html)) {
		return
	}
	for !last {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if html, last, err = c.look(ctx, s, query); err != nil {
			return
		}
		switch now := sha256.Sum256(html); {
		case now != sum:
			sum, quiet = now, time.Now()
			if !send(event(html)) {
				return
			}
		case time.Since(quiet) > feedQuiet:
			quiet = time.Now()
			if !send([]byte(":\n\n")) {
				return
			}
		}
	}
	send([]byte("event: end\ndata: it has ended\n\n")) // the page closes the feed then
}

// event is a message of server-sent events (HTML, section 9.2), whose lines end in a CR
// alone, too.
func event(html []byte) []byte {
	var b bytes.Buffer
	html = bytes.ReplaceAll(html, []byte{'\r'}, []byte{' '})
	for line := range bytes.Lines(html) {
		fmt.Fprintf(&b, "data: %s\n", bytes.TrimRight(line, "\n"))
	}
	b.WriteString("\n")
	return b.Bytes()
}
