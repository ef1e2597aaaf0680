package podtemplate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/podtemplate"
)

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

const staging = `{
  "metadata": {"creationTimestamp": null, "labels": {"app": "web", "pod-template-hash": "abc"},
    "annotations": {"envladder.dev/environment": "staging", "team": "shop", "kubectl.kubernetes.io/restartedAt": "now"}},
  "spec": {"containers": [{"name": "web", "image": "registry.example.com/shop/web@` + digest + `", "resources": {}, "env": [{"name": "A", "value": "1"}]}],
    "volumes": [{"name": "data", "image": {"reference": "registry.example.com/shop/data@` + digest + `"}}]}}`

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var template map[string]any
	if err := json.Unmarshal([]byte(text), &template); err != nil {
		t.Fatal(err)
	}
	return template
}

func TestDigest(t *testing.T) {
	want := podtemplate.Digest(parse(t, staging))
	if !strings.HasPrefix(want, "sha256:") {
		t.Fatalf("digest %q", want)
	}
	for name, test := range map[string]struct {
		old, new string
		same     bool
	}{
		"another stamp":            {`"envladder.dev/environment": "staging"`, `"envladder.dev/environment": "prod"`, true},
		"no stamp":                 {`"envladder.dev/environment": "staging", `, ``, true},
		"a mirror":                 {"registry.example.com/shop/web@", "mirror.example.com/x/web:v1@", true},
		"another ReplicaSet":       {`"pod-template-hash": "abc"`, `"pod-template-hash": "def"`, true},
		"a restart":                {`restartedAt": "now"`, `restartedAt": "later"`, true},
		"an empty field less":      {`"resources": {}, `, ``, true},
		"another digest":           {digest + `", "res`, strings.Replace(digest, "a", "b", 1) + `", "res`, false},
		"another image volume":     {`data@sha256:a`, `data@sha256:b`, false},
		"another variable":         {`"value": "1"`, `"value": "2"`, false},
		"another annotation":       {`"team": "shop"`, `"team": "evil"`, false},
		"another label":            {`"app": "web"`, `"app": "evil"`, false},
		"a container more":         {`"containers": [`, `"containers": [{"name": "x", "image": "y"}, `, false},
		"an image by another tag":  {"web@" + digest, "web:v2", false},
		"a privileged container":   {`"env": [`, `"securityContext": {"privileged": true}, "env": [`, false},
		"a false that isn't empty": {`"spec": {`, `"spec": {"hostNetwork": false, `, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(staging, test.old, test.new, 1)
			if changed == staging {
				t.Fatal("nothing changed")
			}
			template := parse(t, changed)
			if got := podtemplate.Digest(template); (got == want) != test.same {
				t.Errorf("the same: %v, want %v", got == want, test.same)
			}
			if diff := cmp.Diff(parse(t, changed), template); diff != "" {
				t.Errorf("it changed the template:\n%s", diff)
			}
		})
	}
	if got := podtemplate.Digest(nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
