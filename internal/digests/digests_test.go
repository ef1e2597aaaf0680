package digests_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/digests"
)

func TestValid(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for s, want := range map[string]bool{
		"sha256:" + hex:                  true,
		"sha256:" + hex[1:]:              false,
		"sha256:" + hex + "0":            false,
		"sha256:" + strings.ToUpper(hex): false,
		"sha256:" + hex + "\n":           false,
		"sha512:" + hex:                  false,
		hex:                              false,
		"":                               false,
	} {
		if got := digests.Valid(s); got != want {
			t.Errorf("Valid(%q) is %t", s, got)
		}
	}
}

func TestSum(t *testing.T) {
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := digests.Sum([]byte("abc")); got != want || !digests.Valid(got) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestShort(t *testing.T) {
	for digest, want := range map[string]string{
		"sha256:" + strings.Repeat("0123456789abcdef", 4): "sha256:0123456789ab",
		"sha256:01":                           "sha256:01",
		"":                                    "",
		"\x1b[31m" + strings.Repeat("x", 100): "\uFFFD[31mxxxxxxxxxxxxxx",
	} {
		if got := digests.Short(digest); got != want {
			t.Errorf("Short(%q) is %q, want %q", digest, got, want)
		}
	}
}
