package gate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

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
