package scenario

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// A Narrator receives what happens: the demo prints it, a test logs it.
type Narrator interface {
	// Step starts a step.
	Step(number int, title string)
	// Explain explains the next commands.
	Explain(text string)
	// Command receives a command as a person would type it.
	Command(line string)
	// Output receives the output of a command.
	Output(text string)
}

// NewPrinter returns a Narrator that prints for people: a digest in full only the first time,
// and in color if color is set.
func NewPrinter(w io.Writer, color bool) Narrator {
	return &printer{w: w, color: color, seen: map[string]bool{}}
}

// printer is a Narrator that prints.
type printer struct {
	w     io.Writer
	color bool
	// seen has the digests that were printed in full.
	seen map[string]bool
}

// Styles of the terminal (ECMA-48, SGR).
const (
	bold   = "1"
	faint  = "2"
	yellow = "33"
	cyan   = "36"
)

func (p *printer) Step(number int, title string) {
	heading := fmt.Sprintf("== %d. %s", number, title)
	fmt.Fprintf(p.w, "\n%s\n", p.styled(bold+";"+yellow, heading))
}

func (p *printer) Explain(text string) {
	fmt.Fprintf(p.w, "\n%s\n", p.styled(cyan, "# "+text))
}

func (p *printer) Command(line string) {
	fmt.Fprintf(p.w, "%s%s\n", p.styled(faint, "$ "), p.styled(bold, p.shortened(line)))
}

func (p *printer) Output(text string) {
	text = strings.TrimRight(text, "\n")
	if text != "" {
		fmt.Fprintln(p.w, p.shortened(text))
	}
}

// styled returns the text in a style, if the printer has color.
func (p *printer) styled(style, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// shortDigest is the length of a digest that was printed in full before, with its algorithm.
const shortDigest = len("sha256:") + 12

// shortened returns the text with each digest that was printed before in its short form.
func (p *printer) shortened(text string) string {
	return digestPattern.ReplaceAllStringFunc(text, func(digest string) string {
		if p.seen[digest] {
			return digest[:shortDigest] + "…"
		}
		p.seen[digest] = true
		return digest
	})
}
