package endpoint_test

import (
	"encoding/hex"
	"testing"

	"ciscora/ra/check/endpoint"
)

// document is the excerpt of document 004, which names no element around its hash.
const document = `<vpnGroup>
<mtu>1290</mtu>
<failConnectTime>30</failConnectTime>
<authMethod>2</authMethod>
<pswdPersistent>0</pswdPersistent>
<autoNetDetect>0</autoNetDetect>
<enableHostIDCheck>0</enableHostIDCheck>
<addresses>
<url1>https://10.198.16.140/VPNPhone</url1>
</addresses>
<credentials>
<hashAlg>0</hashAlg>
5X6B6plUwUSXZnjQ4kGM33mpMXY=
</credentials>
</vpnGroup>`

func TestTheDocumentsConfigurationIsRead(t *testing.T) {
	// Behind a signature, as TFTP gives it where the cluster is in mixed mode.
	for _, before := range []string{"", "\x01\x00\x02\x01\x00\xff\x00\xfe<device>"} {
		urls, hashes, err := endpoint.PhoneConfig([]byte(before + document))
		if err != nil || urls != 1 || len(hashes) != 1 || hex.EncodeToString(hashes[0]) != "e57e81ea9954c144976678d0e2418cdf79a93176" {
			t.Errorf("%d URLs, %x, %v", urls, hashes, err)
		}
	}
}

func FuzzPhoneConfig(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte("<vpnGroup></vpnGroup><vpnGroup><credentials>AAAA</credentials></vpnGroup>"))
	f.Add([]byte("<vpnGroup"))
	f.Fuzz(func(t *testing.T, data []byte) {
		urls, hashes, _ := endpoint.PhoneConfig(data)
		if urls > 16 || len(hashes) > 64 {
			t.Errorf("%d URLs, %d hashes", urls, len(hashes))
		}
	})
}
