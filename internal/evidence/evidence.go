// Package evidence signs statements about digests, stores them next to the image, and
// verifies what it finds there: in-toto Statements in DSSE in sigstore bundles, attached
// as `cosign attest` attaches them. It alone knows sigstore's libraries.
//
// It leaves to internal/gate what the evidence amounts to, and to internal/registry how
// bytes are read and bounded.
package evidence

import "strings"

// Media types and annotations, as cosign v3 writes them.
const (
	bundleType              = "application/vnd.dev.sigstore.bundle.v0.3+json"
	contentAnnotation       = "dev.sigstore.bundle.content"
	predicateTypeAnnotation = "dev.sigstore.bundle.predicateType"
	createdAnnotation       = "org.opencontainers.image.created"
	dsseContent             = "dsse-envelope"
)

// isBundle reports whether a media type is a sigstore bundle's, of any version:
// …bundle.v0.3+json, or …bundle+json;version=0.2.
func isBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle.v") ||
		strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle+json")
}
