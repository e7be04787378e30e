package endpoint

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxPhoneConfig bounds a phone's configuration; a real one has some 20 KiB.
const maxPhoneConfig = 1 << 20

// A phoneConfig is the VPN part of what a phone fetches by TFTP (SEP….cnf.xml).
type phoneConfig struct {
	URLs   []string
	Hashes [][]byte // of the certificates that the phone trusts
	HostID bool     // its check is on
	// Unreadable is how many hashes are none.
	Unreadable int
	Numbers    int // of groups
}

var (
	errNoVPNGroup = errors.New("it has no <vpnGroup>")
	errEncrypted  = errors.New("it is encrypted (.enc.sgn): switch TFTP Encrypted Config off in the phone's security profile, or read it as the phone shows it")
)

// readPhoneConfig reads a file.
func readPhoneConfig(path string) (phoneConfig, error) {
	f, err := os.Open(path)
	if err != nil {
		return phoneConfig{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPhoneConfig+1))
	switch {
	case err != nil:
		return phoneConfig{}, fmt.Errorf("read %s: %w", path, err)
	case len(data) > maxPhoneConfig:
		return phoneConfig{}, fmt.Errorf("%s has more than 1 MiB: it is no phone's configuration", path)
	}
	return parsePhoneConfig(data)
}

// parsePhoneConfig takes the groups out of whatever is around them: a signed file has
// binary data before its XML.
func parsePhoneConfig(data []byte) (c phoneConfig, err error) {
	opens, closes := []byte("<vpnGroup"), []byte("</vpnGroup>")
	const mostGroups = 16
	for c.Numbers < mostGroups {
		start := bytes.Index(data, opens)
		if start < 0 {
			break
		}
		end := bytes.Index(data[start:], closes)
		if end < 0 {
			return c, errors.New("its <vpnGroup> does not end: the file is cut off")
		}
		group := data[start : start+end+len(closes)]
		data = data[start+end+len(closes):]
		if err := c.read(group); err != nil {
			return c, fmt.Errorf("its <vpnGroup>: %w", err)
		}
		c.Numbers++
	}
	switch {
	case c.Numbers > 0:
		return c, nil
	case !bytes.Contains(data, []byte("<device")) && bytes.IndexByte(data, 0) >= 0:
		return c, errEncrypted
	case len(bytes.TrimSpace(data)) == 0:
		return c, errors.New("the file is empty")
	case !bytes.Contains(data, []byte("<device")):
		return c, errors.New("it is no phone's configuration: there is no <device> in it; that is SEP….cnf.xml, from TFTP")
	}
	return c, errNoVPNGroup
}

// Bounds of what a group may hold.
const (
	mostURLs   = 16
	mostHashes = 64
)

func (c *phoneConfig) read(group []byte) error {
	d := xml.NewDecoder(bytes.NewReader(group))
	d.Strict = false
	var path []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if path = append(path, t.Name.Local); len(path) > 16 {
				return errors.New("its elements are nested too deep")
			}
		case xml.EndElement:
			if len(path) > 0 {
				path = path[:len(path)-1]
			}
		case xml.CharData:
			c.text(path, strings.TrimSpace(string(t)))
		}
	}
}

// text takes a value in. A hash stands in an element of its own below <credentials>, or
// in that itself, as documents print it.
func (c *phoneConfig) text(path []string, value string) {
	if len(path) == 0 || value == "" {
		return
	}
	at := path[len(path)-1]
	switch {
	case at == "enableHostIDCheck":
		c.HostID = value != "0" && !strings.EqualFold(value, "false")
	case strings.HasPrefix(at, "url") && len(path) > 1 && path[len(path)-2] == "addresses" && len(c.URLs) < mostURLs:
		c.URLs = append(c.URLs, value)
	case at == "hashAlg":
	case len(path) > 1 && (at == "credentials" || path[len(path)-2] == "credentials"):
		for word := range strings.FieldsSeq(value) {
			hash, err := base64.StdEncoding.DecodeString(word)
			switch {
			case err != nil || len(hash) != 20 && len(hash) != 32:
				c.Unreadable++
			case len(c.Hashes) < mostHashes:
				c.Hashes = append(c.Hashes, hash)
			}
		}
	}
}
