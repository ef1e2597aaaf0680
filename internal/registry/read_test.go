package registry

import (
	"testing"

	"github.com/envladder/envladder/internal/digests"
)

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"` + digest + `","size":3,"platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Add([]byte(`{"layers":[{"digest":"sha256:../..","size":-1},null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		manifest, err := parseManifest(body)
		if err != nil {
			return
		}
		for _, d := range append(manifest.Layers, manifest.Children...) {
			if !digests.Valid(d.Digest) {
				t.Errorf("%q names %q", body, d.Digest)
			}
		}
	})
}
