package main

import (
	"bufio"
	"encoding/json"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// question has the members of its kind alone. Bytes are in base64.
type question struct {
	Kind     string   `json:"kind"`
	Text     string   `json:"text"`
	Domain   string   `json:"domain"`
	Bytes    []byte   `json:"bytes"`
	Chain    [][]byte `json:"chain"`
	At       int64    `json:"at"`
	Audience string   `json:"audience"`
}

// answer is empty but for the error where go-spiffe refuses.
type answer struct {
	Error  string `json:"error,omitempty"`
	Domain string `json:"domain,omitempty"`
	Path   string `json:"path,omitempty"`
	X509   int    `json:"x509"`
	JWT    int    `json:"jwt"`
}

func judge() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		found, err := answerTo(asked)
		if err != nil {
			found = answer{Error: err.Error()}
		}
		if err := out.Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answerTo(asked question) (answer, error) {
	switch asked.Kind {
	case "id":
		id, err := spiffeid.FromString(asked.Text)
		return answer{Domain: id.TrustDomain().Name(), Path: id.Path()}, err
	case "domain":
		domain, err := spiffeid.TrustDomainFromString(asked.Text)
		return answer{Domain: domain.Name()}, err
	case "address":
		return answer{}, workloadapi.ValidateAddress(asked.Text)
	case "jwt-bundle":
		domain, err := spiffeid.TrustDomainFromString(asked.Domain)
		if err != nil {
			return answer{}, err
		}
		bundle, err := jwtbundle.Parse(domain, asked.Bytes)
		if err != nil {
			return answer{}, err
		}
		return answer{JWT: len(bundle.JWTAuthorities())}, nil
	}
	domain, err := spiffeid.TrustDomainFromString(asked.Domain)
	if err != nil {
		return answer{}, err
	}
	bundle, err := spiffebundle.Parse(domain, asked.Bytes)
	if err != nil {
		return answer{}, err
	}
	if asked.Kind == "bundle" {
		return answer{X509: len(bundle.X509Authorities()), JWT: len(bundle.JWTAuthorities())}, nil
	}
	if asked.Kind == "token" {
		svid, err := jwtsvid.ParseAndValidate(asked.Text, bundle.JWTBundle(), []string{asked.Audience})
		if err != nil {
			return answer{}, err
		}
		return answer{Domain: svid.ID.TrustDomain().Name(), Path: svid.ID.Path()}, nil
	}
	id, _, err := x509svid.ParseAndVerify(asked.Chain, bundle.X509Bundle(), x509svid.WithTime(time.UnixMilli(asked.At)))
	return answer{Domain: id.TrustDomain().Name(), Path: id.Path()}, err
}
