package lab_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ciscora/ra/lab"
)

func TestASeedMakesTheSameLab(t *testing.T) {
	once := func(seed uint64) map[string]string {
		l, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir(), Network: &lab.Memory{}, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		phone := enrollPhone(t, l)
		made := map[string]string{"phone": phone.Name, "serial": phone.Result.Certificates[0].SerialNumber.Text(16)}
		for _, file := range []string{"credentials.yaml", "est.key", "est-ec.key", "ca/root.key", "ca/issuing.key", "phone/key.pem"} {
			text, err := os.ReadFile(l.Path(file))
			if err != nil {
				t.Fatal(err)
			}
			made[file] = string(text)
		}
		pair, err := tls.LoadX509KeyPair(l.Path("est.pem"), l.Path("est.key"))
		if err != nil {
			t.Fatal(err)
		}
		if key, ok := pair.PrivateKey.(*rsa.PrivateKey); !ok || key.N.BitLen() != 2048 {
			t.Errorf("the RA's key is %T", pair.PrivateKey)
		}
		return made
	}
	first, again, other := once(7), once(7), once(8)
	for name, value := range first {
		if !bytes.Equal([]byte(value), []byte(again[name])) {
			t.Errorf("%s is another one: %s and %s", name, value, again[name])
		}
		if value == other[name] {
			t.Errorf("%s is the same with another seed", name)
		}
	}
}

func TestAFolderOfAnotherSeedIsRefused(t *testing.T) {
	run := func(dir string, seed uint64) error {
		l, err := lab.Start(t.Context(), lab.Options{Dir: dir, Network: &lab.Memory{}, EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0", Seed: seed})
		if err != nil {
			return err
		}
		return l.Close()
	}
	for _, test := range []struct {
		runs  []uint64 // the last one is refused
		wants string
	}{
		{[]uint64{7, 7, 0, 7, 8}, "made with --seed 7: name another folder, or leave --seed away"},
		{[]uint64{0, 0, 7}, "made without a seed"},
	} {
		dir := t.TempDir()
		// Left by a run that ended before it had keys: nothing to keep to.
		if err := os.WriteFile(filepath.Join(dir, "seed"), []byte("5\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		last := len(test.runs) - 1
		for _, seed := range test.runs[:last] {
			if err := run(dir, seed); err != nil {
				t.Errorf("%v: seed %d: %v", test.runs, seed, err)
			}
		}
		before, err := os.ReadFile(filepath.Join(dir, "credentials.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := run(dir, test.runs[last]); err == nil || !strings.Contains(err.Error(), test.wants) {
			t.Errorf("%v: %v", test.runs, err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, "credentials.yaml")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%v: the account is another one, %v", test.runs, err)
		}
	}
}
