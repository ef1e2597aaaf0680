package v1alpha1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
)

const head = "apiVersion: envladder.dev/v1alpha1\nkind: Gate\nmetadata: {name: x}\n"

func TestDecodeGateRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"an empty file":               {"", "want one document, have 0"},
		"a file of comments":          {"# nothing\n", "want one document, have 0"},
		"two documents":               {head + "---\n" + head, "want one document, have 2"},
		"a document behind an end":    {head + "...\n" + head, "want one document, have 2"},
		"a document behind a marker":  {"--- {}\n", "line 1: start the document on the line after its marker"},
		"a duplicate key":             {head + "spec: {environment: prod, environment: dev}\n", `key "environment" already set`},
		"a duplicate key in JSON":     {`{"kind": "Gate", "spec": {"environment": "a", "environment": "b"}}`, `already set`},
		"a wrong type":                {head + "spec: {namespaces: shop}\n", "namespaces of type []string"},
		"a duration without a unit":   {head + "spec: {requires: {soak: {by: [a], environment: b, duration: 24}}}\n", "cannot unmarshal number"},
		"a duration in days":          {head + "spec: {requires: {soak: {by: [a], environment: b, duration: 1d}}}\n", `unknown unit "d" in duration "1d"`},
		"another kind":                {"apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: x}\n", `want apiVersion envladder.dev/v1alpha1 and kind Gate, have "envladder.dev/v1alpha1" and "Ladder"`},
		"another version":             {"apiVersion: envladder.dev/v9\nkind: Gate\nmetadata: {name: x}\n", `have "envladder.dev/v9"`},
		"no name":                     {"apiVersion: envladder.dev/v1alpha1\nkind: Gate\n", ".metadata.name"},
		"a list":                      {"- a\n", "cannot unmarshal array"},
		"broken YAML":                 {head + "spec: {\n", "yaml: line "},
		"an alias bomb":               {bomb(), "excessive aliasing"},
		"more than fits into etcd":    {strings.Repeat(" ", v1alpha1.MaxDocument+1), "more than 1572864"},
		"a field in another spelling": {strings.Replace(head, "kind", "Kind", 1), `have "envladder.dev/v1alpha1" and ""`},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, err := v1alpha1.DecodeGate([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v and %v", test.want, err, g)
			}
		})
	}
}

// bomb has 9^9 strings.
func bomb() string {
	var text strings.Builder
	text.WriteString(head + "a0: &a0 [x]\n")
	for i := 1; i < 10; i++ {
		before := "*a" + string(rune('0'+i-1))
		text.WriteString("a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(before+", ", 8) + before + "]\n")
	}
	return text.String()
}

func TestDecodeGateNamesUnknownFields(t *testing.T) {
	text := `
apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: x, newInKubernetes: 1}
quorum: 1
spec:
  requires:
    quorum: 2
    Signature: {by: [ci]}
    tests: [{name: e2e, by: [ci], coverage: 80}]
  signers: [{name: ci, key: {data: "", kind: Post-quantum}}]
status: {newInWebhook: 1}
`
	_, unknown, err := v1alpha1.DecodeGate([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".quorum", ".spec.requires.Signature", ".spec.requires.quorum", ".spec.requires.tests[0].coverage", ".spec.signers[0].key.kind"}
	if diff := cmp.Diff(want, unknown); diff != "" {
		t.Errorf("unknown fields (-want +got):\n%s", diff)
	}

	object := parse(t, []byte(text))
	_, unknown, err = v1alpha1.GateFrom(object)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, unknown); diff != "" {
		t.Errorf("unknown fields of an object (-want +got):\n%s", diff)
	}
}

func TestDecodeRecalls(t *testing.T) {
	recall := func(name string) string {
		return "apiVersion: envladder.dev/v1alpha1\nkind: Recall\nmetadata: {name: " + name + "}\nspec: {reason: bad, digests: ['sha256:" + strings.Repeat("0", 64) + "']}\n"
	}
	got, err := v1alpha1.DecodeRecalls([]byte("# two\n---\n" + recall("a") + "--- # and\n" + recall("b") + "---\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range got {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for name, test := range map[string]struct{ text, want string }{
		"an unknown field":  {recall("a") + "extra: 1\n", "decoding Recall 1 of the file: unknown field .extra"},
		"a digest's half":   {recall("a") + "---\n" + strings.Replace(recall("b"), "0000", "", 1), "decoding Recall 2 of the file: .spec.digests[0]: want sha256:<64 hex digits>"},
		"no digests":        {"apiVersion: envladder.dev/v1alpha1\nkind: Recall\nmetadata: {name: a}\n", ".spec.digests: must name at least one"},
		"a Gate":            {head, `kind Recall, have "envladder.dev/v1alpha1" and "Gate"`},
		"broken YAML later": {recall("a") + "---\na: {\n", "parsing the document at line 6: yaml: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v1alpha1.DecodeRecalls([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
	list := "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(recall("c")), "\n", "\n  ") + "\n"
	if got, err := v1alpha1.DecodeRecalls([]byte(list)); err != nil || len(got) != 1 || got[0].Name != "c" {
		t.Errorf("kubectl's list: %v, %v", got, err)
	}
	if got, err := v1alpha1.DecodeRecalls(nil); err != nil || len(got) > 0 {
		t.Errorf("an empty file has no Recalls: %v, %v", got, err)
	}
}

func TestDecodeExceptions(t *testing.T) {
	exception := "apiVersion: envladder.dev/v1alpha1\nkind: Exception\nmetadata: {name: a}\nspec:\n  digest: sha256:" + strings.Repeat("0", 64) +
		"\n  namespaces: [shop]\n  reason: incident 117\n  expiresAt: 2026-11-01T00:00:00Z\n  bundles: [e30=]\n"
	got, err := v1alpha1.DecodeExceptions([]byte(exception))
	if err != nil || len(got) != 1 || string(got[0].Spec.Bundles[0]) != "{}" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"an unknown field": {"  reason:", "  quorum: 1\n  reason:", "unknown field .spec.quorum"},
		"a digest's half":  {"0000", "", ".spec.digest: want sha256:<64 hex digits>"},
		"no namespace":     {"[shop]", "[]", ".spec.namespaces: must name at least one"},
		"no end":           {"  expiresAt: 2026-11-01T00:00:00Z\n", "", ".spec.expiresAt: must be set"},
		"no signature":     {"[e30=]", "[]", ".spec.bundles: must have at least one signature"},
		"a Recall":         {"kind: Exception", "kind: Recall", "kind Exception, have"},
	} {
		_, err := v1alpha1.DecodeExceptions([]byte(strings.Replace(exception, test.old, test.new, 1)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: want an error with %q, have %v", name, test.want, err)
		}
	}
}

// FuzzDecodeGate: what decodes is a whole Gate, with its name and its defaults.
func FuzzDecodeGate(f *testing.F) {
	f.Add([]byte(head))
	f.Add([]byte(head + "spec: {requires: {soak: {duration: 1h}}, new: 1}\n"))
	f.Add([]byte(`{"apiVersion":"envladder.dev/v1alpha1","kind":"Gate","metadata":{"name":"x"}}`))
	f.Add([]byte("---\n...\n--- # x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, _, err := v1alpha1.DecodeGate(data)
		if err != nil {
			if g != nil {
				t.Error("an error with a Gate")
			}
			return
		}
		if g.Name == "" || g.Spec.Action == "" {
			t.Errorf("half a Gate: %+v", g)
		}
	})
}

// FuzzDecodeRecalls: no file makes a Recall that can't match a digest.
func FuzzDecodeRecalls(f *testing.F) {
	f.Add([]byte("apiVersion: envladder.dev/v1alpha1\nkind: Recall\nmetadata: {name: a}\nspec: {digests: ['sha256:" + strings.Repeat("0", 64) + "']}\n"))
	f.Add([]byte("---\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		recalls, err := v1alpha1.DecodeRecalls(data)
		if err != nil {
			return
		}
		for _, r := range recalls {
			if len(r.Spec.Digests) == 0 || !strings.HasPrefix(r.Spec.Digests[0], "sha256:") {
				t.Errorf("a Recall without a digest: %+v", r)
			}
		}
	})
}

// FuzzDecodeExceptions: no file makes an Exception without a digest, a namespace, an end
// or a signature.
func FuzzDecodeExceptions(f *testing.F) {
	f.Add([]byte("apiVersion: envladder.dev/v1alpha1\nkind: Exception\nmetadata: {name: a}\nspec: {digest: 'sha256:" + strings.Repeat("0", 64) +
		"', namespaces: [shop], reason: x, expiresAt: 2026-11-01T00:00:00Z, bundles: [e30=]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := v1alpha1.DecodeExceptions(data)
		if err != nil {
			return
		}
		for _, x := range all {
			if len(x.Spec.Digest) != 71 || len(x.Spec.Namespaces) == 0 || x.Spec.ExpiresAt.IsZero() || len(x.Spec.Bundles) == 0 {
				t.Errorf("%+v", x)
			}
		}
	})
}
