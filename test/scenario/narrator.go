package scenario

import (
	"fmt"
	"io"
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

// NewPrinter returns a Narrator that prints for people.
func NewPrinter(w io.Writer) Narrator { return printer{w} }

// printer is a Narrator that prints.
type printer struct{ w io.Writer }

func (p printer) Step(number int, title string) {
	fmt.Fprintf(p.w, "\n== %d. %s\n", number, title)
}

func (p printer) Explain(text string) { fmt.Fprintf(p.w, "\n# %s\n", text) }

func (p printer) Command(line string) { fmt.Fprintf(p.w, "$ %s\n", line) }

func (p printer) Output(text string) {
	text = strings.TrimRight(text, "\n")
	if text != "" {
		fmt.Fprintln(p.w, text)
	}
}
