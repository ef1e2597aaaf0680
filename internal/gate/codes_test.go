package gate_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
)

func TestCodesHaveRemedies(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && spec.Type != nil && len(spec.Values) == 1 {
			literal := spec.Values[0].(*ast.BasicLit)
			declared = append(declared, strings.Trim(literal.Value, `"`))
		}
		return true
	})
	var explained []string
	for _, doc := range gate.Codes() {
		explained = append(explained, string(doc.Code))
		if doc.Meaning == "" || doc.Remedy == "" {
			t.Errorf("%s has no meaning or no remedy", doc.Code)
		}
	}
	if !slices.IsSorted(explained) {
		t.Error("Codes isn't sorted")
	}
	slices.Sort(declared)
	if !slices.Equal(declared, explained) {
		t.Errorf("declared %v\nexplained %v", declared, explained)
	}
}

// The page that lists the codes for users, and the lines between which it does.
const (
	codesPage  = "../../docs/gate.md"
	codesBegin = "<!-- codes: begin (go test ./internal/gate -update) -->\n"
	codesEnd   = "<!-- codes: end -->\n"
)

func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile(codesPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), codesBegin)
	listed, after, ends := strings.Cut(rest, codesEnd)
	if !begins || !ends {
		t.Fatalf("%s has no line %q followed by a line %q", codesPage, codesBegin, codesEnd)
	}
	want := codesTable()
	if *update {
		if err := os.WriteFile(codesPage, []byte(before+codesBegin+want+codesEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("%s lists other codes (go test ./internal/gate -update writes them):\n%s", codesPage, diff)
	}
}

// codesTable returns a table in Markdown, with the blank lines that it needs around it.
func codesTable() string {
	var table strings.Builder
	table.WriteString("\n| code | denied because | what to do |\n| --- | --- | --- |\n")
	for _, doc := range gate.Codes() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", doc.Code, cell(doc.Meaning), cell(doc.Remedy))
	}
	table.WriteString("\n")
	return table.String()
}

// cell keeps what would end a table's cell from ending it.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
