package strictyaml_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/strictyaml"
)

func TestProblems(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%[1]c: &%[1]c [%[2]s]\n", c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), ", "))
	}
	// Forty levels, and forty more by an alias at the bottom of them.
	deepAlias := "a: &a " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n" +
		"b: " + strings.Repeat("[", 40) + "*a" + strings.Repeat("]", 40) + "\n"

	for name, test := range map[string]struct {
		in   string
		want string
	}{
		"a duplicate key names both lines": {
			"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
			"f.yaml:5:3: b.c: duplicate key, the first is in line 3",
		},
		"all problems come at once, in order": {
			"a: 1\na: 2\nb: [{c: 1, c: 2}]\n",
			"f.yaml:2:1: a: duplicate key, the first is in line 1\n" +
				"f.yaml:3:12: b[0].c: duplicate key, the first is in line 3",
		},
		"keys that become equal as strings are duplicates": {
			"1: a\n\"1\": b\n",
			`f.yaml:2:1: 1: duplicate key, the first is in line 1`,
		},
		"two merges in one mapping": {
			"a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n",
			`f.yaml:4:3: b["<<"]: duplicate key, the first is in line 3: to merge several mappings, use one list, such as <<: [*a, *b], in which the first wins`,
		},
		"a second document": {
			"a: 1\n---\nb: 2\n",
			"f.yaml:2:1: has a second document: use a file for each",
		},
		"a second document that is null": {
			"a: 1\n---\nnull\n",
			"f.yaml:2:1: has a second document: use a file for each",
		},
		"a document after an empty one": {
			"---\n---\na: 1\n",
			"f.yaml:2:1: has a second document: use a file for each",
		},
		"a syntax error in a second document": {
			"a: 1\n---\nb: [\n",
			"f.yaml:4:1: isn't valid YAML: did not find expected node content",
		},
		"an alias bomb": {
			bomb,
			"f.yaml:2:8: b[0]: the aliases from here on repeat more than 10000 nodes",
		},
		"few aliases of much text": {
			"a: &a " + strings.Repeat("x", 1000) + "\nb: [" + strings.Repeat("*a, ", 1100) + "]\n",
			"f.yaml:2:5: b[0]: the aliases from here on repeat more than 1 MiB",
		},
		"an alias inside its own anchor": {
			"a: &a [*a]\n",
			"f.yaml:1:8: a[0]: alias *a contains itself",
		},
		"an alias of nothing": {
			"a:\n  b: *nope\n",
			"f.yaml:1:1: isn't valid YAML: an alias of an anchor that isn't defined above it",
		},
		"too deep": {
			strings.Repeat("[", 65) + strings.Repeat("]", 65),
			"f.yaml:1:65: " + strings.Repeat("[0]", 64) + ": is nested deeper than 64",
		},
		"too deep for the YAML library": {
			strings.Repeat("[", 20_000),
			"f.yaml:1:1: isn't valid YAML: exceeded max depth of 10000",
		},
		"too deep by an alias": {
			deepAlias,
			"f.yaml:2:44: b" + strings.Repeat("[0]", 40) + ": is nested deeper than 64 by alias *a",
		},
		"a mapping as a key": {
			"a:\n  {b: 1}: 2\n",
			"f.yaml:2:3: a: has a mapping as a key: use a string",
		},
		"a null key": {
			"~: 1\n",
			"f.yaml:1:1: has a null key: use a string",
		},
		"an unknown tag": {
			"a: !!binary aGk=\nb: !ruby/object {}\n",
			"f.yaml:1:4: a: has the tag \"!!binary\", which isn't supported\n" +
				"f.yaml:2:4: b: has the tag \"!ruby/object\", which isn't supported",
		},
		"a scalar that isn't what its tag says, without its value": {
			"a: !!bool 7\nb: [!!int hunter2]\n!!int c: 1\nd: !!float x\ne: !!null x\n",
			"f.yaml:1:4: a: has the tag !!bool, but its value isn't of that type\n" +
				"f.yaml:2:5: b[0]: has the tag !!int, but its value isn't of that type\n" +
				"f.yaml:3:1: c: has the tag !!int, but its value isn't of that type\n" +
				"f.yaml:4:4: d: has the tag !!float, but its value isn't of that type\n" +
				"f.yaml:5:4: e: has the tag !!null, but its value isn't of that type",
		},
		"a collection that isn't what its tag says": {
			"a: !!seq {b: 1}\nc: !!str [d]\ne: !!map f\n",
			"f.yaml:1:4: a: has the tag !!seq, but its value isn't of that type\n" +
				"f.yaml:2:4: c: has the tag !!str, but its value isn't of that type\n" +
				"f.yaml:3:4: e: has the tag !!map, but its value isn't of that type",
		},
		"numbers that JSON doesn't have": {
			"a: .nan\nb: [.inf, -.Inf]\nc: !!float .NaN\n",
			"f.yaml:1:4: a: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)\n" +
				"f.yaml:2:5: b[0]: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)\n" +
				"f.yaml:2:11: b[1]: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)\n" +
				"f.yaml:3:4: c: isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)",
		},
		"a merge of what is no mapping": {
			"a: &a [1]\n<<: 3\nb: {<<: *a}\nc: {<<: [{d: 1}, *a, x]}\ne:\n  <<:\n",
			"f.yaml:2:5: [\"<<\"]: merges a number: want a mapping, or a list of mappings\n" +
				"f.yaml:3:9: b[\"<<\"]: merges a list: want a mapping, or a list of mappings\n" +
				"f.yaml:4:18: c[\"<<\"][1]: merges a list: want a mapping, or a list of mappings\n" +
				"f.yaml:4:22: c[\"<<\"][2]: merges a string: want a mapping, or a list of mappings\n" +
				"f.yaml:6:6: e[\"<<\"]: merges nothing: want a mapping, or a list of mappings",
		},
		"a path that is as long as the document is cut": {
			strings.Repeat("{"+strings.Repeat("k", 300)+": ", 60) + "{a: 1, a: 2}" + strings.Repeat("}", 60),
			"f.yaml:1:18188: " + strings.Repeat(strings.Repeat("k", 300)+".", 4) + strings.Repeat("k", 75) + "…: duplicate key, the first is in line 1",
		},
		"a key can't forge a line": {
			"\"a\\nf.yaml:1:1: all is well\": 1\n\"a\\nf.yaml:1:1: all is well\": 1\n",
			`f.yaml:2:1: ["a\nf.yaml:1:1: all is well"]: duplicate key, the first is in line 1`,
		},
		"a key that is a token": {
			"ghp_" + strings.Repeat("a1B2", 9) + ": 1\nghp_" + strings.Repeat("a1B2", 9) + ": 2\n",
			"f.yaml:2:1: (masked): duplicate key, the first is in line 1",
		},
		"NUL":    {"a: 1\nb: \x00\n", "f.yaml:2:4: has a NUL character"},
		"UTF-16": {"\xff\xfea\x00", "f.yaml:1:1: isn't UTF-8"},
		"a tab as indentation": {
			"a:\n\tb: 1\n",
			"f.yaml:2:1: isn't valid YAML: found character that cannot start any token",
		},
		"unclosed flow": {
			"a: 1\nb: {c: 1\n",
			"f.yaml:2:1: isn't valid YAML: did not find expected ',' or '}'",
		},
		"a key without a colon": {
			"a:\n  b: 1\nc\nd: 2\n",
			"f.yaml:3:1: isn't valid YAML: could not find expected ':'",
		},
		"a list that ends badly": {
			"a:\n  - b\n  c: 1\n",
			"f.yaml:2:1: isn't valid YAML: did not find expected '-' indicator",
		},
		"too large": {
			"a: " + strings.Repeat("x", 1<<20),
			"f.yaml: is larger than 1 MiB",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := strictyaml.Parse("f.yaml", []byte(test.in))
			if _, ok := errors.AsType[strictyaml.Problems](err); !ok {
				t.Fatalf("got %v, want Problems", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProblemsAreTruncated(t *testing.T) {
	_, err := strictyaml.Parse("f.yaml", []byte(strings.Repeat("a: 1\n", 1001)))
	lines := strings.Split(err.Error(), "\n")
	if got, want := len(lines), 101; got != want {
		t.Fatalf("got %d lines, want %d", got, want)
	}
	if got, want := lines[100], "f.yaml:101:1: there are more problems than these 100"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseAccepts(t *testing.T) {
	for name, in := range map[string]string{
		"a plain mapping":      "a: {b: [1, x, null, 2020-01-01]}\n",
		"anchors and a merge":  "x: &x {cpu: 1}\na: *x\nb:\n  <<: *x\n  mem: 2\n",
		"a mark of UTF-8":      "\ufeffa: 1\n",
		"CRLF":                 "a: 1\r\nb: 2\r\n",
		"an end of document":   "---\na: 1\n...\n",
		"a closing separator":  "---\na: 1\n---\n",
		"empty documents":      "a: 1\n---\n# nothing\n---\n",
		"as deep as it may be": strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"core tags":            "a: !!str 1\nb: !!int 7\nc: !!float 7\nd: !!bool true\ne: !!map {}\nf: !!seq []\ng: !!null ~\n",
		"merges":               "x: &x {a: 1}\nb: {<<: [*x, {c: 1}]}\nd: {\"<<\": 3}\n",
		"numbers, large":       "a: 1e999\nb: 123456789012345678901234567890\nc: 1e308\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := strictyaml.Parse("f.yaml", []byte(in)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParseMapping(t *testing.T) {
	for name, in := range map[string]string{"empty": "", "a comment": "# no values yet\n", "null": "null\n", "a mark alone": "---\n"} {
		t.Run("takes for an empty mapping: "+name, func(t *testing.T) {
			root, err := strictyaml.ParseMapping("f.yaml", []byte(in))
			if err != nil {
				t.Fatal(err)
			}
			if root.Kind != yaml.MappingNode || len(root.Content) != 0 {
				t.Errorf("got %s of %d nodes, want an empty mapping", strictyaml.KindOf(root), len(root.Content))
			}
		})
	}
	for in, want := range map[string]string{
		"- a\n":        "f.yaml:1:1: want a mapping, have a list",
		"\nhello\n":    "f.yaml:2:1: want a mapping, have a string",
		"2020-01-01\n": "f.yaml:1:1: want a mapping, have a date (quote it to make it a string)",
	} {
		t.Run("refuses "+strings.TrimSpace(in), func(t *testing.T) {
			_, err := strictyaml.ParseMapping("f.yaml", []byte(in))
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	fsys := fstest.MapFS{
		"dir/f.yaml":     {Data: []byte("a: 1\n")},
		"dir/large.yaml": {Data: make([]byte, strictyaml.MaxSize+1)},
		"dir/most.yaml":  {Data: make([]byte, strictyaml.MaxSize)},
		"dir/fifo":       {Mode: fs.ModeNamedPipe},
	}
	if data, err := strictyaml.ReadFile(fsys, "dir/f.yaml"); err != nil || string(data) != "a: 1\n" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := strictyaml.ReadFile(fsys, "dir/none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if data, err := strictyaml.ReadFile(fsys, "dir/most.yaml"); err != nil || len(data) != strictyaml.MaxSize {
		t.Errorf("exactly the maximum: got %d bytes, %v", len(data), err)
	}
	for _, name := range []string{"dir", "dir/fifo", "dir/large.yaml"} {
		var problems strictyaml.Problems
		if _, err := strictyaml.ReadFile(fsys, name); !errors.As(err, &problems) {
			t.Errorf("%s: got %v, want Problems", name, err)
		}
	}
}

// Problems of Parse must not hide those of Decode.
func TestDecodeAfterParseProblems(t *testing.T) {
	root, err := strictyaml.ParseMapping("f.yaml", []byte("name: a\nname: b\nnames: c\nlist: &l [*l, 7]\n? [x]\n: 1\n~: 2\n"))
	var into struct {
		Name string   `json:"name"`
		List []string `json:"list"`
		More string   `json:"more"`
	}
	_, problems := strictyaml.Decode("f.yaml", root, &into)
	want := `f.yaml:1:1: needs "more"
f.yaml:2:1: name: duplicate key, the first is in line 1
f.yaml:3:1: names: unknown field, did you mean "name"?
f.yaml:4:11: list[0]: alias *l contains itself
f.yaml:4:11: list[0]: is an alias: write the value out
f.yaml:4:15: list[1]: want a string, have a number: quote it
f.yaml:5:3: has a list as a key: use a string
f.yaml:7:1: has a null key: use a string`
	if diff := cmp.Diff(want, append(problems, strictyaml.ProblemsOf(err)...).Err().Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestDecodeBoundsItems(t *testing.T) {
	root, err := strictyaml.ParseMapping("f.yaml", []byte("list: [a, b, c]\nmap: {a: x, b: y, c: z}\n"))
	if err != nil {
		t.Fatal(err)
	}
	type document struct {
		List []string          `json:"list" max:"2"`
		Map  map[string]string `json:"map"  max:"2"`
	}
	var into document
	_, problems := strictyaml.Decode("f.yaml", root, &into)
	want := "f.yaml:1:7: list: has 3 items: at most 2 are allowed\nf.yaml:2:6: map: has 3 keys: at most 2 are allowed"
	if diff := cmp.Diff(want, problems.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(document{List: []string{"a", "b"}, Map: map[string]string{"a": "x", "b": "y"}}, into); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

// Readers after lint use this library: what is fine here must be fine there, since its
// errors have no position.
func FuzzParsedIsReadable(f *testing.F) {
	for _, seed := range []string{
		"a: !!int 7\n", "a: 1\n<<: {b: 2}\n", "a: &a {<<: {}}\nb: {<<: [*a]}\n", "a: .inf\n", "0x1: 2020-01-01\nyes: 1_0\n", "a: !!float 1\n", "a: =\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := strictyaml.ParseMapping("f.yaml", data)
		if err != nil || len(root.Content) == 0 { // a lone "!" is an empty document here, and an empty string there
			return
		}
		var values map[string]any
		if err := sigsyaml.Unmarshal(data, &values); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a: 1\n", "a: &a [*a]\n", "a: &a {<<: *a}\n", "x: &x [1]\ny: [*x, *x]\n", "a: 1\n---\nb: 2\n", "? [a]\n: b\n", "\ufeff[{", "!!binary a",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := strictyaml.Parse("f.yaml", data)
		if err != nil {
			if _, ok := errors.AsType[strictyaml.Problems](err); !ok {
				t.Fatalf("error of type %T", err)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f.yaml:") {
					t.Fatalf("a line without its file: %q", line)
				}
			}
			return
		}
		if n := followed(root, strictyaml.MaxDepth); n > strictyaml.MaxSize+strictyaml.MaxAliased {
			t.Fatalf("%d nodes", n)
		}
	})
}

// followed counts nodes as a naive reader does who follows aliases.
func followed(n *yaml.Node, depth int) int {
	if depth == 0 {
		panic("nested too deep")
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	count := 1
	for _, child := range n.Content {
		count += followed(child, depth-1)
	}
	return count
}
