package lab_test

import (
	"context"
	"fmt"
	"os"

	"ciscora/config"
	"ciscora/ra/lab"
)

// A complete EST service, its Microsoft CA included, for a test of your own
// client.
func ExampleStart() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lab-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	l, err := lab.Start(ctx, lab.Options{
		Dir: dir, Profile: config.ProfileModern,
		EST: "127.0.0.1:0", Certsrv: "127.0.0.1:0", Admin: "127.0.0.1:0",
	})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if err := l.Ready(ctx); err != nil {
		panic(err)
	}

	// Your client goes to l.ESTURL, with l.Roots and the account of
	// l.Path("credentials.yaml"). Here it is the lab's own phone.
	phone, err := l.EnrollPhone(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(phone.Result.RV, phone.ReqID, phone.Result.Certificates[0].Issuer.CommonName)
	// Output: EST_ERR_NONE 1 LAB Issuing CA
}
