// spiffe-client is a workload with go-spiffe.
//
//	spiffe-client fetch SOCKET [AUDIENCE]
//	    prints what the Workload API gives, as JSON
//	spiffe-client serve-bundle SOCKET
//	    is a bundle endpoint with its X.509-SVID (profile https_spiffe): prints its address, and ends with its standard input
//	spiffe-client judge
//	    reads questions, one JSON object a line, and writes what go-spiffe makes of each
//	spiffe-client -socket SOCKET (-server-id ID | -ca FILE) [-jwt-audience AUDIENCE] [-no-svid] [-type TYPE] METHOD URL [BODYFILE]
//	    sends one request over mutual TLS with its X.509-SVID, and prints the status in the first line and the body after it
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var err error
	switch {
	case len(os.Args) > 2 && os.Args[1] == "fetch":
		audience := ""
		if len(os.Args) > 3 {
			audience = os.Args[3]
		}
		err = fetch(ctx, os.Args[2], audience)
	case len(os.Args) == 3 && os.Args[1] == "serve-bundle":
		err = serveBundle(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "judge":
		err = judge()
	default:
		err = request(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type fetched struct {
	SVIDs       []map[string]any `json:"svids"`
	Bundles     map[string]int   `json:"bundles"`
	JWTBundles  map[string]int   `json:"jwtBundles"`
	JWTSVIDs    []map[string]any `json:"jwtSvids"`
	ValidatedAs string           `json:"validatedAs"`
}

func fetch(ctx context.Context, socket, audience string) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(socket))
	if err != nil {
		return err
	}
	defer client.Close()
	found := fetched{Bundles: map[string]int{}, JWTBundles: map[string]int{}}
	x509Context, err := client.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	for _, svid := range x509Context.SVIDs {
		found.SVIDs = append(found.SVIDs, map[string]any{
			"id": svid.ID.String(), "hint": svid.Hint, "chain": len(svid.Certificates),
			"expired": time.Now().After(svid.Certificates[0].NotAfter),
		})
	}
	for _, bundle := range x509Context.Bundles.Bundles() {
		found.Bundles[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
	}
	if _, err := client.FetchX509Bundles(ctx); err != nil {
		return err
	}
	if audience != "" {
		if err := fetchJWT(ctx, client, audience, &found); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func fetchJWT(ctx context.Context, client *workloadapi.Client, audience string, found *fetched) error {
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	for _, bundle := range bundles.Bundles() {
		found.JWTBundles[bundle.TrustDomain().Name()] = len(bundle.JWTAuthorities())
	}
	svids, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	for _, svid := range svids {
		if _, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{audience}); err != nil {
			return err
		}
		found.JWTSVIDs = append(found.JWTSVIDs, map[string]any{"id": svid.ID.String(), "hint": svid.Hint, "audience": svid.Audience})
	}
	validated, err := client.ValidateJWTSVID(ctx, svids[0].Marshal(), audience)
	if err != nil {
		return err
	}
	found.ValidatedAs = validated.ID.String()
	return nil
}

func serveBundle(socket string) error {
	ctx := context.Background()
	options := workloadapi.WithClientOptions(workloadapi.WithAddr(socket))
	svids, err := workloadapi.NewX509Source(ctx, options)
	if err != nil {
		return err
	}
	defer svids.Close()
	bundles, err := workloadapi.NewBundleSource(ctx, options)
	if err != nil {
		return err
	}
	defer bundles.Close()
	svid, err := svids.GetX509SVID()
	if err != nil {
		return err
	}
	handler, err := federation.NewHandler(svid.ID.TrustDomain(), bundles)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.TLSServerConfig(svids))
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, handler)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func request(ctx context.Context) error {
	socket := flag.String("socket", "", "")
	serverID := flag.String("server-id", "", "")
	ca := flag.String("ca", "", "")
	audience := flag.String("jwt-audience", "", "")
	noSVID := flag.Bool("no-svid", false, "")
	contentType := flag.String("type", "application/json", "")
	flag.Parse()
	args := flag.Args()
	if len(args) < 2 || len(args) > 3 || (*serverID == "") == (*ca == "") {
		return errors.New("usage: spiffe-client -socket SOCKET (-server-id ID | -ca FILE) METHOD URL [BODYFILE]")
	}
	options := workloadapi.WithClientOptions(workloadapi.WithAddr(*socket))
	source, err := workloadapi.NewX509Source(ctx, options)
	if err != nil {
		return err
	}
	defer source.Close()
	config, err := tlsOf(source, *serverID, *ca, *noSVID)
	if err != nil {
		return err
	}
	body := []byte{}
	if len(args) == 3 {
		if body, err = os.ReadFile(args[2]); err != nil {
			return err
		}
	}
	sent, err := http.NewRequestWithContext(ctx, args[0], args[1], bytes.NewReader(body))
	if err != nil {
		return err
	}
	if len(args) == 3 {
		sent.Header.Set("Content-Type", *contentType)
	}
	if *audience != "" {
		client, err := workloadapi.New(ctx, workloadapi.WithAddr(*socket))
		if err != nil {
			return err
		}
		defer client.Close()
		svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: *audience})
		if err != nil {
			return err
		}
		sent.Header.Set("Authorization", "Bearer "+svid.Marshal())
	}
	reply, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config}}).Do(sent)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	fmt.Println(reply.StatusCode)
	_, err = io.Copy(os.Stdout, reply.Body)
	return err
}

func tlsOf(source *workloadapi.X509Source, serverID, ca string, noSVID bool) (*tls.Config, error) {
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate in " + ca)
		}
		if noSVID {
			return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
		}
		return tlsconfig.MTLSWebClientConfig(source, roots), nil
	}
	id, err := spiffeid.FromString(serverID)
	if err != nil {
		return nil, err
	}
	if noSVID {
		return tlsconfig.TLSClientConfig(source, tlsconfig.AuthorizeID(id)), nil
	}
	return tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(id)), nil
}
