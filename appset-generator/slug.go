package appset

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxSlug leaves room in a DNS label of 63 characters for what a template adds. Argo CD's
// own pull request generator has the same limit.
const maxSlug = 50

// slug returns a DNS label for untrusted text: lowercase letters, digits, and - in place of
// everything else. If nothing is left it returns a hash, so that a label is never empty.
func slug(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break // the rest of a long name doesn't matter
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	sum := sha256.Sum256([]byte(text))
	return "x" + hex.EncodeToString(sum[:4])
}

// maxTitle is what fits a terminal's line.
const maxTitle = 100
