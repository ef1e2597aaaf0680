package rollout

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// decoded returns a Deployment with its images.
func decoded(t *testing.T, document string) *object {
	t.Helper()
	read, err := workload.NewKinds().Decode([]byte(document), schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"})
	if err != nil {
		t.Fatal(err)
	}
	o := &object{Object: read}
	if err := o.readImages(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestStartsNothingNew(t *testing.T) {
	const base = `{"apiVersion":"apps/v1","kind":"Deployment",
		"metadata":{"name":"web","annotations":{"envladder.dev/environment":"prod"},"finalizers":["f"]},
		"spec":{"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:1"}]}}},
		"status":{"replicas":3}}`
	for name, test := range map[string]struct {
		old, replacement string
		want             bool
	}{
		"no change":                 {`"a":"b"`, `"a":"b"`, true},
		"replicas lower":            {`"replicas":3,"template"`, `"replicas":1,"template"`, true},
		"replicas unset":            {`"replicas":3,"template"`, `"template"`, true},
		"replicas raised":           {`"replicas":3,"template"`, `"replicas":5,"template"`, true},
		"status":                    {`"status":{"replicas":3}`, `"status":{}`, true},
		"finalizers":                {`"finalizers":["f"]`, `"finalizers":[]`, true},
		"deletion":                  {`"name":"web","ann`, `"name":"web","deletionTimestamp":"2026-11-01T00:00:00Z","ann`, true},
		"other annotation":          {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","x":"y"`, true},
		"stamp":                     {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"dev"`, false},
		"stamp removed":             {`"envladder.dev/environment":"prod"`, ``, false},
		"stamp added":               {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","envladder.dev/chart-digest":"x"`, false},
		"image":                     {`r/web:1`, `r/web:2`, false},
		"image and replicas":        {`"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:1"`, `"replicas":0,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:2"`, false},
		"label of template":         {`"a":"b"`, `"a":"c"`, false},
		"unknown field of template": {`"name":"web","image"`, `"name":"web","newPolicy":"x","image"`, false},
		"order of keys":             {`"name":"web","image":"r/web:1"`, `"image":"r/web:1","name":"web"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(base, test.old, test.replacement, 1)
			if changed == base && test.old != test.replacement {
				t.Fatal("the test changes nothing")
			}
			if got := startsNothingNew(decoded(t, base), decoded(t, changed)); got != test.want {
				t.Errorf("startsNothingNew = %t, want %t", got, test.want)
			}
		})
	}
}

func TestKeepsDigests(t *testing.T) {
	a, b := "r/web@"+webhooktest.Digest('a'), "r/web@"+webhooktest.Digest('b')
	objectWith := func(references ...string) *object {
		o := &object{}
		for _, reference := range references {
			o.images = append(o.images, workload.Image{Reference: reference})
		}
		return o
	}
	for name, test := range map[string]struct {
		before, after *object
		want          bool
	}{
		"same digest":                   {objectWith(a), objectWith(a), true},
		"same digest, other repository": {objectWith(a), objectWith("mirror/web:1@" + webhooktest.Digest('a')), true},
		"fewer digests":                 {objectWith(a, b), objectWith(a), true},
		"other order":                   {objectWith(a, b), objectWith(b, a), true},
		"other digest":                  {objectWith(a), objectWith(b), false},
		"more digests":                  {objectWith(a), objectWith(a, b), false},
		"tag becomes digest":            {objectWith("r/web:1"), objectWith(a), false},
		"additional tag":                {objectWith(a), objectWith(a, "r/sidecar:1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keepsDigests(test.before, test.after); got != test.want {
				t.Errorf("keepsDigests = %t, want %t", got, test.want)
			}
		})
	}
}
