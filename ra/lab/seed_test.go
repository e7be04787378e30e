package lab_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"os"
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
