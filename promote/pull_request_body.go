package promote

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

// maxBody bounds a pull request's body: GitHub accepts 65,536 characters, Gitea more.
const maxBody = 60_000

// origin is where a promotion comes from, for the body.
type origin struct {
	at time.Time
	// folder of the ladder, and the command that was run there.
	folder, command string
}

func (p *promotion) origin(r *Result) origin {
	return origin{p.Now(), p.repository.Dir, r.command(p.Target, p.Flags)}
}

// describe sets the title and the body.
func (r *Result) describe(o origin) {
	r.Title = r.title()
	r.Body = r.body(o)
}

// title returns what moves where: one image with its digest, several without.
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
		return "Promote the chart to " + r.EnvTarget
	case n == 1:
		return fmt.Sprintf("Promote %s to %s: %s", names[0], r.EnvTarget, shortOrNothing(digest))
	case n > most:
		return fmt.Sprintf("Promote %s and %d more to %s", strings.Join(names[:most], ", "), n-most, r.EnvTarget)
	}
	return fmt.Sprintf("Promote %s to %s", strings.Join(names, ", "), r.EnvTarget)
}

// message returns the commit's message.
func (r *Result) message() string {
	var b strings.Builder
	b.WriteString(r.Title + "\n\n")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s: %s -> %s\n", c.name(), orNone(c.Old), c.New)
	}
	if r.unproven() {
		b.WriteString("\nPromoted unproven:\n")
		for _, reason := range r.unprovenReasons() {
			fmt.Fprintf(&b, "%s: %s\n", reason.Code, reason.Message)
		}
	}
	b.WriteString("\n" + r.mark() + "\n")
	return b.String()
}

// mark returns the line by which the commit is recognized as a promotion's.
func (r *Result) mark() string {
	return fmt.Sprintf("%s: %s/%s %s", trailer, r.Ladder, r.EnvTarget, r.Pins)
}

// body returns the body of the pull request, in Markdown.
func (r *Result) body(o origin) string {
	var b strings.Builder
	switch { // a forge may not support drafts
	case r.unproven():
		b.WriteString("**Don't merge this yet: it is unproven.** What is missing is listed below.\n\n")
	case r.staysDraft:
		b.WriteString("**Don't merge this yet: it was a draft, and no Gate has checked since whether it is proven.**\n\n")
	}
	fmt.Fprintf(&b, "Promotes to **%s** of ladder **%s** (`%s`):\n\n", tableCell(r.EnvTarget), tableCell(r.Ladder), r.Pins)
	b.WriteString("| image | from | to |\n| --- | --- | --- |\n")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "| %s | `%s` | `%s` |\n", tableCell(c.name()), orNone(c.Old), c.New)
	}
	if r.has(CodeTooEarly) {
		b.WriteString("\n**Another target comes first.**\n")
	}
	if r.has(gate.NoGate) {
		b.WriteString("\n**No Gate was checked.**\n")
	}
	if len(r.Reasons) > 0 {
		b.WriteString("\n")
		writeReasons(&b, r.Reasons)
	}
	for _, g := range r.Verdicts {
		g.writeBody(&b)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n> %s\n", tableCell(note))
	}
	return truncateBody(b.String()) + fmt.Sprintf("\n---\nCreated from branch `%s` on %s, in folder `%s`, by:\n\n    %s\n\nThe cluster checks its Gate again when this is deployed; evidence may have been added, or become too old, by then. Run the same command again to update this pull request. To roll back after the merge, revert it.\n",
		r.Base, o.at.UTC().Format("2006-01-02 15:04 UTC"), o.folder, o.command)
}

// maxCommand is far more than anyone types, and well below what a body may have.
const maxCommand = 4000

// command returns the command that promotes to this environment or target, quoted for a
// shell.
func (r *Result) command(target string, flags []string) string {
	words := []string{"envladder", "promote", r.Environment}
	if _, own, ok := strings.Cut(r.EnvTarget, "/"); ok { // a wave has several
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

// plainWord matches words that need no quotes in any shell.
var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func truncateBody(text string) string {
	if len(text) <= maxBody {
		return text
	}
	text = strings.ToValidUTF8(text[:maxBody], "")
	return text[:strings.LastIndexByte(text, '\n')+1] + "\n> The rest doesn't fit here: envladder verify prints all of it.\n"
}

// writeBody writes one Gate's result.
func (g GateResult) writeBody(b *strings.Builder) {
	verb := "denies"
	switch {
	case g.Allowed:
		verb = "allows"
	case !g.denies():
		verb = "would deny (its action is " + g.Action + ")"
	}
	fmt.Fprintf(b, "\n**Gate %s %s %s**", tableCell(orNone(g.Gate.Name)), verb, tableCell(g.Name))
	switch {
	case g.Gate.Digest == "":
	case g.Gate.Generation == 0: // read from a file
		fmt.Fprintf(b, " (digest of the Gate: `%s`)", g.Gate.Digest)
	default:
		fmt.Fprintf(b, " (generation %d, digest of the Gate: `%s`)", g.Gate.Generation, g.Gate.Digest)
	}
	b.WriteString("\n\n")
	writeReasons(b, g.Reasons)
	if len(g.Evidence) > 0 {
		b.WriteString("\n| evidence | figure | age | by |\n| --- | --- | --- | --- |\n")
	}
	for _, e := range g.Evidence {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", tableCell(e.Requirement), tableCell(e.Figure), tableCell(e.Age), tableCell(strings.Join(e.Signers, ", ")))
	}
}

func writeReasons(b *strings.Builder, reasons []gate.Reason) {
	if len(reasons) == 0 {
		return
	}
	b.WriteString("| code | what is missing | to do |\n| --- | --- | --- |\n")
	for _, reason := range reasons {
		fmt.Fprintf(b, "| %s | %s | %s |\n", tableCell(string(reason.Code)), tableCell(reason.Message), tableCell(reason.Remedy))
	}
}

// markdown escapes what has a meaning in Markdown: untrusted text must neither format nor
// mention anyone.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "#", "&#35;",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;", "~", `\~`, "://", ":&#47;/",
)

// tableCell returns untrusted text as the cell of a table.
func tableCell(text string) string {
	return markdown.Replace(printable.Line(text, 1200)) // a reason's message has 1,024 at most
}
