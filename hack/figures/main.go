package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	tree, err := measure(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
	tree.write(os.Stdout)
}

// longFunction is the length in lines from which a function counts as long.
const longFunction = 50

// folder is the size of one package without its tests.
type folder struct {
	path         string
	files, lines int
}

// tree collects the figures of all packages.
type tree struct {
	folders                        map[string]*folder
	functions                      []int // lines of each
	comments, definitions, returns int
	tests, named                   int
}

// measure parses every Go file below root.
func measure(root string) (*tree, error) {
	t := &tree{folders: map[string]*folder{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		return t.add(path)
	})
	return t, err
}

// add measures one file.
func (t *tree) add(path string) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parsing %q: %w", path, err)
	}
	if ast.IsGenerated(file) {
		return nil
	}
	if source, isTest := strings.CutSuffix(path, "_test.go"); isTest {
		t.tests++
		if _, err := os.Stat(source + ".go"); err == nil {
			t.named++
		}
		return nil
	}
	dir := filepath.Dir(path)
	if t.folders[dir] == nil {
		t.folders[dir] = &folder{path: dir}
	}
	t.folders[dir].files++
	t.folders[dir].lines += set.File(file.Pos()).LineCount()
	for _, declaration := range file.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			t.addFunction(set, function)
		}
	}
	return nil
}

var (
	definition = regexp.MustCompile(`^\w+ (is|are|was|were) `)
	returning  = regexp.MustCompile(`^\w+ returns? `)
)

// addFunction measures a function's length and how its comment begins.
func (t *tree) addFunction(set *token.FileSet, function *ast.FuncDecl) {
	t.functions = append(t.functions, set.Position(function.End()).Line-set.Position(function.Pos()).Line+1)
	comment := function.Doc.Text()
	if comment == "" {
		return
	}
	t.comments++
	if definition.MatchString(comment) {
		t.definitions++
	}
	if returning.MatchString(comment) {
		t.returns++
	}
}

// write prints the figures.
func (t *tree) write(w io.Writer) {
	folders := make([]*folder, 0, len(t.folders))
	for _, f := range t.folders {
		folders = append(folders, f)
	}
	slices.SortFunc(folders, func(a, b *folder) int {
		return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.path, b.path))
	})
	fmt.Fprintf(w, "packages: %d; the largest without tests:\n", len(folders))
	for _, f := range folders[:min(8, len(folders))] {
		fmt.Fprintf(w, "  %-32s %3d files %6d lines\n", f.path, f.files, f.lines)
	}
	slices.Sort(t.functions)
	long := 0
	for _, lines := range t.functions {
		if lines > longFunction {
			long++
		}
	}
	if count := len(t.functions); count > 0 {
		fmt.Fprintf(w, "functions: %d; 90th percentile %d lines, longest %d, over %d lines: %d\n",
			count, t.functions[count*9/10], t.functions[count-1], longFunction, long)
	}
	fmt.Fprintf(w, "function comments: %d; \"X is\": %s, \"X returns\": %s\n", t.comments, percent(t.definitions, t.comments), percent(t.returns, t.comments))
	fmt.Fprintf(w, "test files: %d; named after a source file: %s\n", t.tests, percent(t.named, t.tests))
}

// percent returns a share as text, "0 %" of nothing.
func percent(part, whole int) string {
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(max(whole, 1)))
}
