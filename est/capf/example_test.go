package capf_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"ciscora/est/capf"
)

// A phone is made and enrolled at an RA that runs here.
func Example() {
	pem, err := os.ReadFile("trust.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)

	client, err := capf.New(capf.Options{
		URL: "https://127.0.0.1:8084", Roots: roots, User: `LAB\ciscora`, Password: os.Getenv("PASSWORD"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	phone, err := capf.NewPhone(nil, "", "rsa2048")
	if err != nil {
		fmt.Println(err)
		return
	}
	result := client.Enroll(context.Background(), phone.Name, phone.CSR)
	if result.Err != nil {
		fmt.Println(result.Err)
		return
	}
	fmt.Printf("rv = %d (%s)\n%s", result.RV, result.RV, result.PEM())
}
