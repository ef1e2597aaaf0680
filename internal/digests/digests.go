// Package digests has the one form of digest that envladder accepts: sha256: and 64
// lowercase hex digits. An uppercase or a shortened digest is another string to a registry
// and to a kubelet, so it proves nothing.
package digests

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"

	"github.com/envladder/envladder/internal/printable"
)

const (
	prefix = "sha256:"
	// Syntax is the regular expression of a digest inside a longer text.
	Syntax = prefix + "[0-9a-f]{64}"
	// Pattern is the regular expression of a digest.
	Pattern = "^" + Syntax + "$"
)

var pattern = regexp.MustCompile(Pattern)

// Valid reports whether s is a digest.
func Valid(s string) bool { return pattern.MatchString(s) }

// Sum returns the digest of content.
func Sum(content []byte) string {
	sum := sha256.Sum256(content)
	return prefix + hex.EncodeToString(sum[:])
}

// Short returns the beginning of a digest that people compare: sha256:0123456789ab. The
// digest may be untrusted.
func Short(digest string) string {
	const length = len(prefix) + 12
	return printable.Line(digest[:min(len(digest), length)], length)
}
