package gitrepo

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/strictyaml"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// In the documents A and B stand for digests; the edit sets images.web to B.
func TestSetString(t *testing.T) {
	for name, test := range map[string]struct{ before, after string }{
		"a value":                      {"images:\n  web: A\n  api: A\n", "images:\n  web: B\n  api: A\n"},
		"the same value":               {"images:\n  web: B\n", "images:\n  web: B\n"},
		"comments":                     {"# top\nimages: # i\n  # w\n  web: A # was C\n# end\n", "# top\nimages: # i\n  # w\n  web: B # was C\n# end\n"},
		"CRLF":                         {"images:\r\n  web: A\r\n  api: A\r\n", "images:\r\n  web: B\r\n  api: A\r\n"},
		"CR alone":                     {"images:\r  web: A\r", "images:\r  web: B\r"},
		"no final newline":             {"images:\n  web: A", "images:\n  web: B"},
		"flow style":                   {"images: {web: A, api: A}\n", "images: {web: B, api: A}\n"},
		"flow style over lines":        {"images: {\n  api: A,\n  web: A,\n}\n", "images: {\n  api: A,\n  web: B,\n}\n"},
		"JSON":                         {`{"images":{"web":"A","api":"A"}}`, `{"images":{"web":"B","api":"A"}}`},
		"double quotes":                {"images:\n  \"web\": \"A\" # x\n", "images:\n  \"web\": \"B\" # x\n"},
		"double quotes with escapes":   {"images:\n  web: \"\\x73ha\\\"\\u0041\"\n", "images:\n  web: \"B\"\n"},
		"single quotes with a quote":   {"images:\n  web: 'it''s'\n", "images:\n  web: 'B'\n"},
		"tabs after the colon":         {"images:\n  web:\tA\t# x\n", "images:\n  web:\tB\t# x\n"},
		"a BOM":                        {"\ufeffimages:\n  web: A\n", "\ufeffimages:\n  web: B\n"},
		"a BOM and flow":               {"\ufeff{images: {web: A}}", "\ufeff{images: {web: B}}"},
		"a document's begin":           {"---\nimages:\n  web: A\n", "---\nimages:\n  web: B\n"},
		"letters of several bytes":     {"# ä\nimages: {\"ü\": A, web: A}\n", "# ä\nimages: {\"ü\": A, web: B}\n"},
		"a value that another repeats": {"images:\n  api: A\n  web: A\n  web2: A\n", "images:\n  api: A\n  web: B\n  web2: A\n"},
		"a value on a line of its own": {"images:\n  web:\n    A\n", "images:\n  web:\n    B\n"},
		"an empty value":               {"images:\n  web:\n  api: A\n", "images:\n  web: B\n  api: A\n"},
		"an empty value, a comment":    {"images:\n  web: # soon\n", "images:\n  web: B # soon\n"},
		"an explicit null":             {"images:\n  web: ~\n", "images:\n  web: B\n"},
		"anchors elsewhere":            {"chart: &c x.tgz\nimages:\n  web: A\n", "chart: &c x.tgz\nimages:\n  web: B\n"},

		"an anchor without aliases":   {"images:\n  web: &now A # x\n  api: A\n", "images:\n  web: &now B # x\n  api: A\n"},
		"an anchor and quotes":        {"images: {web: &now   'A', api: A}\n", "images: {web: &now   'B', api: A}\n"},
		"an anchor on another line":   {"images:\n  web: &now\n    A\n", "images:\n  web: &now\n    B\n"},
		"an anchor of the map":        {"images: &all\n  web: A\n", "images: &all\n  web: B\n"},
		"an anchor that is redefined": {"images:\n  web: &x A\n  api: &x A\n  job: *x\n", "images:\n  web: &x B\n  api: &x A\n  job: *x\n"},
		"an anchor of a sibling":      {"images:\n  api: &x A\nchart: x.tgz\n", "images:\n  api: &x A\n  web: B\nchart: x.tgz\n"},
		"a merge that it overrides":   {"x: &x {web: A}\nimages: {<<: *x, web: A}\n", "x: &x {web: A}\nimages: {<<: *x, web: B}\n"},

		"a missing key":                   {"images:\n    api: A # x\n# end\n", "images:\n    api: A # x\n    web: B\n# end\n"},
		"a missing key, CRLF":             {"images:\r\n  api: A\r\n", "images:\r\n  api: A\r\n  web: B\r\n"},
		"a missing key, no final newline": {"images:\n  api: A", "images:\n  api: A\n  web: B"},
		"a missing key, quoted siblings":  {"images:\n  \"api\": 'A'\n", "images:\n  \"api\": 'A'\n  \"web\": 'B'\n"},
		"a missing key, flow":             {"images: {api: A}\n", "images: {api: A, web: B}\n"},
		"a missing key, flow over lines":  {"images: {\n  api: A,\n}\n", "images: {\n  api: A, web: B,\n}\n"},
		"a missing key, JSON":             {`{"images":{"api":"A"}}`, `{"images":{"api":"A", "web": "B"}}`},
		"a missing key, empty flow":       {"images: {}\n", "images: {web: B}\n"},
		"a missing key, more behind":      {"images:\n  api: A\nchart: x.tgz\n", "images:\n  api: A\n  web: B\nchart: x.tgz\n"},
		"empty images":                    {"images:\nchart: x.tgz\n", "images:\n  web: B\nchart: x.tgz\n"},
		"empty images, a comment":         {"images: # none\n", "images: # none\n  web: B\n"},
		"empty images at the end":         {"images:", "images:\n  web: B"},
		"null images":                     {"images: null # x\n", "images: {web: B} # x\n"},
		"empty images in flow":            {"{images: , chart: x.tgz}", "{images: {web: B} , chart: x.tgz}"},
		"no images":                       {"chart: x.tgz # x\n", "chart: x.tgz # x\nimages:\n  web: B\n"},
		"no images, no final newline":     {"chart: x.tgz", "chart: x.tgz\nimages:\n  web: B"},
		"no images, a map before":         {"other: # o\n  x: y # x\n# end\n", "other: # o\n  x: y # x\nimages:\n  web: B\n# end\n"},
		"no images, flow before":          {"other: {x: [y,\n  z, # }\n ], } # x\n", "other: {x: [y,\n  z, # }\n ], } # x\nimages:\n  web: B\n"},
		"no images, a list before":        {"other:\n- a\n- b: c\n", "other:\n- a\n- b: c\nimages:\n  web: B\n"},
		"no images, empty flow before":    {"other: {}", "other: {}\nimages:\n  web: B"},
		"no images, flow in flow":         {"{other: {x: y}}", "{other: {x: y}, images: {web: B}}"},
		"no images, flow":                 {"{chart: x.tgz}\n", "{chart: x.tgz, images: {web: B}}\n"},
		"an empty file":                   {"", "images:\n  web: B\n"},
		"an empty mapping":                {"{}\n", "{images: {web: B}}\n"},
		"comments alone":                  {"# Written by promotions.\n", "# Written by promotions.\nimages:\n  web: B\n"},
		"comments alone, no newline":      {"# x", "# x\nimages:\n  web: B"},
		"a document's begin alone":        {"---\r\n", "---\r\nimages:\r\n  web: B\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			digests := strings.NewReplacer("A", digestA, "B", digestB)
			before, want := digests.Replace(test.before), digests.Replace(test.after)
			got, err := SetString("pins.yaml", []byte(before), digestB, "images", "web")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetStringRejects(t *testing.T) {
	for name, test := range map[string]struct{ document, want string }{
		"an alias":                {"chart: &x a.tgz\nimages:\n  web: *x\n", "alias"},
		"an anchor":               {"images:\n  web: &x a\nchart: *x\n", "anchor"},
		"an anchor of the map":    {"images: &x\n  web: a\nother: *x\n", "anchor"},
		"an anchor merged":        {"images: &x\n  web: a\nother: {<<: *x}\n", "anchor"},
		"an anchor around it":     {"all: &x\n  images: {web: a}\nother: *x\n", "edit it by hand"},
		"an empty anchored value": {"images:\n  web: &x\n", "anchor"},
		"an alias of the map":     {"x: &x\n  web: a\nimages: *x\n", "alias"},
		"a tag":                   {"images:\n  web: !!str a\n", "tag"},
		"a block of text":         {"images:\n  web: |\n    a\n", "block of text"},
		"several lines":           {"images:\n  web: a\n    b\n", "several lines"},
		"a list":                  {"images:\n  web: [a]\n", "is not a string"},
		"images of another kind":  {"images: [a]\n", "in a list"},
		"siblings on one line":    {"? images\n: ? api\n  : a\n", "edit it by hand"},
		"a block before the key":  {"images:\n  api: |\n    a\n", "edit it by hand"},
		"a null document":         {"null\n", "edit it by hand"},
		"duplicate keys":          {"images:\n  web: a\n  web: b\n", "duplicate key"},
		"several documents":       {"images: {web: a}\n---\nimages: {}\n", "document"},
		"what isn't YAML":         {"images: {web\n", "isn't valid YAML"},
		"what isn't UTF-8":        {"images: {web: \xff}\n", "isn't UTF-8"},
		"a list as the document":  {"- web\n", "want a mapping"},
		"a key that isn't string": {"images:\n  [a]: b\n", "key"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SetString("pins.yaml", []byte(test.document), digestB, "images", "web")
			if err == nil {
				t.Fatalf("edited:\n%s", got)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "pins.yaml") {
				t.Errorf("error %q, want %q of pins.yaml", err, test.want)
			}
			if !errors.Is(err, ErrCantEdit) && strictyaml.ProblemsOf(err) == nil {
				t.Errorf("error %q is neither a problem nor one to edit by hand", err)
			}
		})
	}
	if _, err := SetString("pins.yaml", nil, "a: b", "chart"); err == nil {
		t.Error("a value that needs quotes was written")
	}
}

func TestSetStringQuotesKeys(t *testing.T) {
	got, err := SetString("pins.yaml", []byte("images: {api: x}\n"), digestB, "images", "null")
	if err != nil || string(got) != "images: {api: x, \"null\": "+digestB+"}\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzSetString holds that an edit changes one value, and one place of the bytes.
func FuzzSetString(f *testing.F) {
	for _, seed := range []string{
		"", "images:\n  web: a\n", "images: {web: \"a\\\"\"}", "\ufeffimages:\r\n  api: 'a'\r\n", "images: &x {web: *x}",
		"# c\nchart: x # y\nimages:", "? images\n: web: a\n", "images:\n  web: |-\n   a\n", "{\"images\":{\"api\":\"a\"}}", "images:\n\tweb: a",
		"images: !!map {web: a}", "a: [\n images: {web: b}]", "images:\u2028  web: a\u0085", "--- {images: {web: a}}\n...\n",
		"images: {<<: {web: a}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, before []byte) {
		after, err := SetString("f", bytes.Clone(before), digestB, "images", "web")
		if err != nil {
			return
		}
		root, err := strictyaml.ParseMapping("f", after)
		if err != nil {
			t.Fatalf("%q became %q: %v", before, after, err)
		}
		want, err := strictyaml.ParseMapping("f", before)
		if err != nil {
			t.Fatalf("%q was edited in spite of %v", before, err)
		}
		put(want, digestB, []string{"images", "web"})
		if !same(want, root) {
			t.Fatalf("%q became %q: another value changed", before, after)
		}
		// One place: what is left of both sides is the old value, of one line or quoted.
		prefix := commonPrefix(before, after)
		suffix := commonPrefix(reversed(before[prefix:]), reversed(after[prefix:]))
		gone := before[prefix : len(before)-suffix]
		if bytes.ContainsAny(gone, "#,{}\n") && !bytes.ContainsAny(before, `"'`) {
			t.Fatalf("%q became %q: %q is gone", before, after, gone)
		}
	})
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}
