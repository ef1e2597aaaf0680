package appset

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxSlug leaves room in a DNS label of 63 for what a template puts around it. It is
// what Argo CD's own pull request generator cuts at.
const maxSlug = 50

// slug makes a DNS label of a text that somebody else chose: lowercase letters, digits,
// and - in place of all else. A text of which nothing is left gets a name by its hash,
// so that a label is never empty.
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
			break // a name of 10 kB is read no further
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	sum := sha256.Sum256([]byte(text))
	return "x" + hex.EncodeToString(sum[:4])
}

// maxTitle is what a terminal's line has room for.
const maxTitle = 100
