// certificate-chains says what Go's crypto/x509 makes of leaves under one chain, for code signing. It reads lines of JSON: the first
// has base64 of DER, {"root": …, "intermediate": …, "time": Unix seconds}, the others {"leaf": …}. It writes "ok" or the error for each leaf.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

type line struct {
	Root         []byte `json:"root"`
	Intermediate []byte `json:"intermediate"`
	Leaf         []byte `json:"leaf"`
	Time         int64  `json:"time"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	var options x509.VerifyOptions
	for first := true; in.Scan(); first = false {
		var one line
		if err := json.Unmarshal(in.Bytes(), &one); err != nil {
			panic(err)
		}
		if first {
			roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(parsed(one.Root))
			intermediates.AddCert(parsed(one.Intermediate))
			options = x509.VerifyOptions{
				Roots: roots, Intermediates: intermediates, CurrentTime: time.Unix(one.Time, 0),
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
			}
			continue
		}
		leaf, err := x509.ParseCertificate(one.Leaf)
		if err == nil {
			leaf.UnhandledCriticalExtensions = nil // the name of an empty subject
			_, err = leaf.Verify(options)
		}
		if err == nil {
			fmt.Println("ok")
		} else {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
}

func parsed(der []byte) *x509.Certificate {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return certificate
}
