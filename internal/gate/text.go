package gate

import (
	"strings"

	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxName is enough for every name that Kubernetes, registries and in-toto know
	// (a repository has at most 255 characters).
	maxName = 256
	// maxMessage keeps a verdict of a dozen reasons readable in a terminal and far below
	// the size of a webhook's response that an API server accepts.
	maxMessage = 1024
)

// quote returns a name in quotes, bounded, with invisible characters escaped.
func quote(name string) string { return printable.Quote(name, maxName) }

// names returns a list of names for a message, bounded.
func names(list []string) string { return join(list, ", ") }

// anyOf returns a list of names joined by "or", bounded.
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
