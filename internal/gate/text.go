package gate

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is enough for every name that Kubernetes, registries and in-toto know
	// (a repository has at most 255 characters).
	maxName = 256
	// maxMessage keeps a verdict of a dozen reasons readable in a terminal and far
	// below what an API server lets a webhook answer.
	maxMessage = 1024
)

// Clean makes foreign text fit for a terminal and a log: one line without control
// characters, escape sequences or invisible ones, of at most limit runes.
func Clean(text string, limit int) string {
	var clean strings.Builder
	runes := 0
	for i, r := range text {
		if runes == limit {
			clean.WriteRune('…')
			break
		}
		runes++
		switch {
		case r == utf8.RuneError && !utf8.ValidString(text[i:i+1]):
			clean.WriteRune(utf8.RuneError)
		case unicode.IsSpace(r):
			clean.WriteRune(' ')
		case !unicode.IsPrint(r):
			clean.WriteRune(utf8.RuneError)
		default:
			clean.WriteRune(r)
		}
	}
	return clean.String()
}

// quote is Clean for names: bounded, in quotes, with what is invisible made visible.
func quote(name string) string {
	runes := 0
	for i := range name {
		if runes == maxName {
			return strconv.Quote(name[:i] + "…")
		}
		runes++
	}
	return strconv.Quote(name)
}

// names is a list of names for a message, bounded.
func names(list []string) string { return join(list, ", ") }

// anyOf is names of which one is enough.
func anyOf(list []string) string { return join(list, " or ") }

func join(list []string, separator string) string {
	const most = 8
	var text strings.Builder
	for i, name := range list {
		if i == most {
			text.WriteString(separator + "others")
			break
		}
		if i > 0 {
			text.WriteString(separator)
		}
		text.WriteString(quote(name))
	}
	return text.String()
}

// span prints a duration as people write it: 24h, 6h12m, 1h5s; whole seconds from
// one second on.
func span(d time.Duration) string {
	if d < 0 {
		if d == minDuration {
			d++ // its negation doesn't fit
		}
		return "-" + span(-d)
	}
	if d < time.Second {
		return d.String()
	}
	d = d.Truncate(time.Second)
	var text strings.Builder
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.size; n > 0 {
			text.WriteString(strconv.FormatInt(int64(n), 10) + unit.name)
			d %= unit.size
		}
	}
	return text.String()
}

const minDuration = time.Duration(-1 << 63)

// Span prints a duration as messages have it: 24h, 6h12m.
func Span(d time.Duration) string { return span(d) }

// Short cuts a digest to what people compare: sha256:0123456789ab.
func Short(digest string) string { return short(digest) }
