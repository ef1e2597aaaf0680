package admission

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/webhook/policycache"
)

const (
	// maxName is more than a repository (255), a tag (128) and a digest (71) can take
	// together, in characters.
	maxName = 512
	// maxMessage bounds the message, in bytes: several screens, and little enough for
	// Argo CD to store in an Application's status for each object.
	maxMessage = 8 << 10
	// maxLine bounds the untrusted text in a line, in characters; the gate's own messages
	// are shorter.
	maxLine = 1 << 10
)

// message returns a sentence for each image, and below it every reason, line by line as far
// as they fit.
func message(images []ImageResult, gates []policycache.CachedGate) string {
	var lines []string
	for _, image := range images {
		lines = append(lines, image.sentence(gates))
		lines = append(lines, image.reasonLines()...)
	}
	text := lines[0]
	for i, line := range lines[1:] {
		if len(text)+len(line) > maxMessage {
			return fmt.Sprintf("%s\n… and %d more lines", text, len(lines)-1-i)
		}
		text += "\n" + line
	}
	return text
}

// sentence returns which image is denied for which environment, and why: the reason, or the
// codes if there are several.
// shop/web@sha256:9f86d081884c…: not proven for prod: needs 24h in "staging", has 6h12m.
// shop/web@sha256:9f86d081884c…: not proven for prod: NoApproval, SoakTooShort.
func (i ImageResult) sentence(gates []policycache.CachedGate) string {
	subject := "the request"
	if i.Reference != "" {
		subject = shortReference(i.Reference)
	}
	first, provable := i.firstReason()
	verb := "denied in"
	if provable {
		verb = "not proven for"
	}
	cause := line(first.Message)
	if more := len(i.Reasons) - 1; provable && more > 0 {
		cause = strings.Join(i.codes(), ", ")
	} else if more > 0 {
		cause += fmt.Sprintf(" (and %d more)", more)
	}
	return fmt.Sprintf("%s: %s %s: %s", subject, verb, i.environment(gates), cause)
}

// environment returns the environment of the Gate that judged the image, or those of all
// Gates that name the namespace.
func (i ImageResult) environment(gates []policycache.CachedGate) string {
	var names []string
	for _, g := range gates {
		if name := cleanName(g.Spec.Environment); g.Name == i.Gate.Name {
			return name
		} else if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "this namespace"
	}
	return strings.Join(names, ", ")
}

// reasonLines returns a line for each reason, as - CODE: message (remedy), and one for the
// Gate.
func (i ImageResult) reasonLines() []string {
	var lines []string
	for _, reason := range i.Reasons {
		text := fmt.Sprintf("- %s: %s", reason.Code, line(reason.Message))
		if reason.Remedy != "" {
			text += fmt.Sprintf(" (%s)", line(reason.Remedy))
		}
		lines = append(lines, text)
	}
	if i.Gate.Name != "" {
		lines = append(lines, fmt.Sprintf("- judged by Gate %s generation %d %s", line(i.Gate.Name), i.Gate.Generation, shortReference(i.Gate.Digest)))
	}
	return lines
}

// exemption returns the Exception that an image is admitted by: its name, its end, its
// signers and its reason.
func (i ImageResult) exemption() string {
	x := i.Exception
	return fmt.Sprintf("Exception %s until %s, signed by %s: %s", line(x.Name), x.ExpiresAt.UTC().Format(time.RFC3339), line(strings.Join(x.By, ", ")), line(x.Reason))
}

// shortReference returns a reference without its registry's host and most of its digest, as
// people write it.
func shortReference(reference string) string {
	reference = cleanName(reference)
	if host, rest, ok := strings.Cut(reference, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		reference = rest
	}
	if i := strings.LastIndex(reference, "sha256:"); i >= 0 && len(reference) > i+len("sha256:")+12 {
		reference = reference[:i+len("sha256:")+12] + "…"
	}
	if reference == "" {
		return "an image without a name"
	}
	return reference
}

// cleanName returns an untrusted name as bounded, clean text.
func cleanName(name string) string { return printable.Line(name, maxName) }

// line returns untrusted text as one bounded, clean line.
func line(text string) string { return printable.Line(text, maxLine) }
