// Package evidence signs statements about digests, stores them next to the image, and
// verifies the statements that it finds there: in-toto Statements in DSSE in sigstore
// bundles, attached as `cosign attest` attaches them. It and its subpackages alone use
// sigstore's libraries.
//
// internal/gate judges the evidence, and internal/registry reads and bounds the bytes.
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
