package gate

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuoteIsBounded(t *testing.T) {
	if got := quote(strings.Repeat("x", 10*maxName)); utf8.RuneCountInString(got) != maxName+len(`""`) {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
}
