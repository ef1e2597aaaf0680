package promote

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

// maxText of a pull request: GitHub takes 65,536 characters, Gitea more.
const maxText = 60_000

// origin is what the text tells of where it comes from.
type origin struct {
	at time.Time
	// folder of the ladder, and the command that was run there.
	folder, command string
}

func (p *promotion) origin(r *Result) origin {
	return origin{p.Now(), p.repository.Dir, r.command(p.Target, p.Flags)}
}

// describe writes the title and the text.
func (r *Result) describe(o origin) {
	r.Title = r.title()
	r.Text = r.text(o)
}

// title names what moves where: one image with its digest, several without.
func (r *Result) title() string {
	var names []string
	digest := ""
	for _, c := range r.Changes {
		if c.Image != "" {
			names, digest = append(names, c.Image), c.New
		}
	}
	const most = 4 // what fits a line
	switch n := len(names); {
	case n == 0:
		return "Promote the chart to " + r.Place
	case n == 1:
		return fmt.Sprintf("Promote %s to %s: %s", names[0], r.Place, short(digest))
	case n > most:
		return fmt.Sprintf("Promote %s and %d more to %s", strings.Join(names[:most], ", "), n-most, r.Place)
	}
	return fmt.Sprintf("Promote %s to %s", strings.Join(names, ", "), r.Place)
}

// message of the commit.
func (r *Result) message() string {
	var b strings.Builder
	b.WriteString(r.Title + "\n\n")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s: %s -> %s\n", c.what(), orNone(c.Old), c.New)
	}
	if r.open() {
		b.WriteString("\nPromoted unproven:\n")
		for _, reason := range r.openReasons() {
			fmt.Fprintf(&b, "%s: %s\n", reason.Code, reason.Message)
		}
	}
	b.WriteString("\n" + r.mark() + "\n")
	return b.String()
}

// mark is the line by which the commit is known as a promotion's.
func (r *Result) mark() string {
	return fmt.Sprintf("%s: %s/%s %s", trailer, r.Ladder, r.Place, r.Pins)
}

// what the change is of.
func (c Change) what() string {
	if c.Image == "" {
		return "chart"
	}
	return c.Image
}

// openReasons are all for which it would be refused.
func (r *Result) openReasons() []Reason {
	reasons := slices.Clone(r.Reasons)
	for _, j := range r.Verdicts {
		if j.denies() {
			reasons = append(reasons, j.Reasons...)
		}
	}
	return reasons
}

// text of the pull request, in Markdown.
func (r *Result) text(o origin) string {
	var b strings.Builder
	switch { // a forge may not know drafts
	case r.open():
		b.WriteString("**Don't merge this yet: it is unproven.** What is missing is below.\n\n")
	case r.stays:
		b.WriteString("**Don't merge this yet: it was a draft, and no Gate was asked whether it is proven now.**\n\n")
	}
	fmt.Fprintf(&b, "Promotes to **%s** of ladder **%s** (`%s`):\n\n", cell(r.Place), cell(r.Ladder), r.Pins)
	b.WriteString("| image | from | to |\n| --- | --- | --- |\n")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` |\n", cell(c.what()), orNone(c.Old), c.New)
	}
	if r.has(CodeTooEarly) {
		b.WriteString("\n**It isn't its turn.**\n")
	}
	if r.has(gate.NoGate) {
		b.WriteString("\n**No Gate was asked.**\n")
	}
	if len(r.Reasons) > 0 {
		b.WriteString("\n")
		reasonTable(&b, r.Reasons)
	}
	for _, j := range r.Verdicts {
		j.text(&b)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n> %s\n", cell(note))
	}
	text := cut(b.String())
	return text + fmt.Sprintf("\n---\nMade from branch `%s` on %s, in folder `%s`, by:\n\n    %s\n\nThe cluster asks its Gate again when this is deployed; evidence may have come, or grown too old, by then. The same command run again brings this text up to date. To go back after the merge, revert it.\n",
		r.Base, o.at.UTC().Format("2006-01-02 15:04 UTC"), o.folder, o.command)
}

// maxCommand is far more than anybody types, and well below what a text may have.
const maxCommand = 4000

// command is the one that promotes into this place, as a shell takes it.
func (r *Result) command(target string, flags []string) string {
	words := []string{"envladder", "promote", r.Environment}
	if _, own, ok := strings.Cut(r.Place, "/"); ok { // a wave has several
		target = own
	}
	if target != "" {
		words = append(words, "--target", target)
	}
	for _, flag := range flags {
		words = append(words, shellWord(flag))
	}
	return printable.Line(strings.Join(words, " "), maxCommand)
}

// plainWord is what no shell takes for more than a word.
var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	text = strings.ToValidUTF8(text[:maxText], "")
	return text[:strings.LastIndexByte(text, '\n')+1] + "\n> There is more than fits here: envladder verify prints it all.\n"
}

// text tells of one verdict.
func (j Judged) text(b *strings.Builder) {
	word := "denies"
	switch {
	case j.Allowed:
		word = "allows"
	case !j.denies():
		word = "would deny (its action is " + j.Action + ")"
	}
	fmt.Fprintf(b, "\n**Gate %s %s %s**", cell(orNone(j.Gate.Name)), word, cell(j.Name))
	switch {
	case j.Gate.Digest == "":
	case j.Gate.Generation == 0: // of a file, which has none
		fmt.Fprintf(b, " (`%s`)", j.Gate.Digest)
	default:
		fmt.Fprintf(b, " (generation %d, `%s`)", j.Gate.Generation, j.Gate.Digest)
	}
	b.WriteString("\n\n")
	reasonTable(b, j.Reasons)
	if len(j.Proofs) > 0 {
		b.WriteString("\n| evidence | figure | age | by |\n| --- | --- | --- | --- |\n")
	}
	for _, p := range j.Proofs {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", cell(p.Requirement), cell(p.Figure), cell(p.Age), cell(strings.Join(p.Signers, ", ")))
	}
}

func reasonTable(b *strings.Builder, reasons []gate.Reason) {
	if len(reasons) == 0 {
		return
	}
	b.WriteString("| code | what is missing | to do |\n| --- | --- | --- |\n")
	for _, reason := range reasons {
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(string(reason.Code)), cell(reason.Message), cell(reason.Remedy))
	}
}

// markdown is what would be more than text in a table's cell: foreign text must neither
// format nor call anybody.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "#", "&#35;",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;", "~", `\~`, "://", ":&#47;/",
)

// cell is foreign text for a table.
func cell(text string) string {
	return markdown.Replace(printable.Line(text, 1200)) // a reason's message has 1,024 at most
}
