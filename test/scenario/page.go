package scenario

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// A Recorder is a Narrator that records what a printer prints, by step.
type Recorder struct {
	printer
	all   bytes.Buffer
	steps []recordedStep
}

// recordedStep is the output of a step.
type recordedStep struct{ title, output string }

// NewRecorder returns an empty Recorder.
func NewRecorder() *Recorder {
	r := &Recorder{}
	r.printer = printer{w: &r.all, seen: map[string]bool{}}
	return r
}

// Step ends the previous step and starts one.
func (r *Recorder) Step(_ int, title string) {
	r.finish()
	r.steps = append(r.steps, recordedStep{title: title})
}

// finish ends the current step.
func (r *Recorder) finish() {
	if n := len(r.steps); n > 0 {
		r.steps[n-1].output = strings.TrimSpace(r.all.String())
	}
	r.all.Reset()
}

// Pages are the pages below docs/ that have the output of a story. `demo -update` writes it.
var Pages = map[Story]string{Climb: "climb.md", FirstDeploy: "first-deploy.md", Adopt: "adopt.md"}

// section matches the heading of a step and everything up to the end of its first block.
var section = regexp.MustCompile("(?ms)^## [0-9]+\\. ([^\n]+)\n(.*?)^```\n(.*?)^```\n")

// UpdatePage replaces the output in a page of the documentation. The page has a section for each
// step, in order, with the step's title as its heading and the output in its first block.
func (r *Recorder) UpdatePage(page string) (string, error) {
	r.finish()
	found := section.FindAllStringSubmatchIndex(page, -1)
	if len(found) != len(r.steps) {
		return "", fmt.Errorf("the page has %d sections with a block, want one for each of the %d steps", len(found), len(r.steps))
	}
	var updated strings.Builder
	end := 0
	for i, at := range found {
		step := r.steps[i]
		if title := page[at[2]:at[3]]; !strings.EqualFold(title, step.title) {
			return "", fmt.Errorf("section %d of the page is %q, want %q", i+1, title, step.title)
		}
		if strings.Contains(step.output, "```") {
			return "", fmt.Errorf("the output of step %d contains the end of a block", i+1)
		}
		updated.WriteString(page[end:at[0]])
		fmt.Fprintf(&updated, "## %d. %s\n%s```\n%s\n```\n", i+1, page[at[2]:at[3]], page[at[4]:at[5]], step.output)
		end = at[1]
	}
	updated.WriteString(page[end:])
	return updated.String(), nil
}

// Narrators is a Narrator that passes everything to each of several.
type Narrators []Narrator

// Step starts a step in each.
func (all Narrators) Step(number int, title string) {
	for _, n := range all {
		n.Step(number, title)
	}
}

// Explain passes the text to each.
func (all Narrators) Explain(text string) {
	for _, n := range all {
		n.Explain(text)
	}
}

// Command passes the command line to each.
func (all Narrators) Command(line string) {
	for _, n := range all {
		n.Command(line)
	}
}

// Output passes the output to each.
func (all Narrators) Output(text string) {
	for _, n := range all {
		n.Output(text)
	}
}
