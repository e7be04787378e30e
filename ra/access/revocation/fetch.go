package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// Clients wait meanwhile, and libest's give up after 10 s.
	fetchTimeout = 5 * time.Second
	checkTimeout = 9 * time.Second // of all places that one certificate names

	maxRedirects = 3
	maxCRL       = 32 << 20 // bytes: some hundred thousand entries
	maxOCSP      = 64 << 10
)

// newHTTPClient follows no redirect to another scheme: what came by https must not go
// on by http, and nothing leads to other protocols.
func newHTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		Timeout:   fetchTimeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case req.URL.Scheme != via[0].URL.Scheme:
				return fmt.Errorf("it redirects from %s to %s", via[0].URL.Scheme, req.URL.Scheme)
			case len(via) > maxRedirects:
				return fmt.Errorf("it redirects more than %d times", maxRedirects)
			}
			return nil
		},
	}
}

// fetchable tells whether a certificate's URL is one to ask; LDAP and files are not.
func fetchable(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// fetch sends body, or asks where there is none, and returns the answer.
func (c *Checker) fetch(ctx context.Context, address, contentType string, body []byte, limit int64) ([]byte, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is longer than %d bytes", limit)
	}
	return data, err
}
