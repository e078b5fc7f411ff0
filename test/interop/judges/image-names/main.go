// image-names reads names of images, one JSON text a line, and writes what the libraries of container engines and of cosign make of
// each: {"reference": {...} or null, "ggcr": {...} or null}.
package main

import (
	"bufio"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"os"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

type parts struct {
	Domain string `json:"domain"`
	Path   string `json:"path"`
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
}

type verdict struct {
	Reference *parts `json:"reference"`
	GGCR      *parts `json:"ggcr"`
}

func byReference(text string) *parts {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil
	}
	found := &parts{Domain: reference.Domain(named), Path: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		found.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		found.Digest = digested.Digest().String()
	}
	return found
}

func byGGCR(text string) *parts {
	ref, err := name.ParseReference(text)
	if err != nil {
		return nil
	}
	found := &parts{Domain: ref.Context().RegistryStr(), Path: ref.Context().RepositoryStr()}
	switch ref := ref.(type) {
	case name.Tag:
		found.Tag = ref.TagStr()
	case name.Digest:
		found.Digest = ref.DigestStr()
	}
	return found
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			panic(err)
		}
		if err := encoder.Encode(verdict{byReference(text), byGGCR(text)}); err != nil {
			panic(err)
		}
	}
}
