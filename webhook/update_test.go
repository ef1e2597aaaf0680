package webhook

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/internal/workload"
)

// decoded is a Deployment with its images.
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
		"nothing":                     {`"a":"b"`, `"a":"b"`, true},
		"replicas lower":              {`"replicas":3,"template"`, `"replicas":1,"template"`, true},
		"replicas unset":              {`"replicas":3,"template"`, `"template"`, true},
		"replicas raised":             {`"replicas":3,"template"`, `"replicas":5,"template"`, true},
		"status":                      {`"status":{"replicas":3}`, `"status":{}`, true},
		"finalizers":                  {`"finalizers":["f"]`, `"finalizers":[]`, true},
		"deletion":                    {`"name":"web","ann`, `"name":"web","deletionTimestamp":"2026-11-01T00:00:00Z","ann`, true},
		"another annotation":          {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","x":"y"`, true},
		"a stamp":                     {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"dev"`, false},
		"a stamp taken away":          {`"envladder.dev/environment":"prod"`, ``, false},
		"a stamp added":               {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","envladder.dev/chart-digest":"x"`, false},
		"the image":                   {`r/web:1`, `r/web:2`, false},
		"the image, and replicas":     {`"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:1"`, `"replicas":0,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:2"`, false},
		"a label of the template":     {`"a":"b"`, `"a":"c"`, false},
		"a field of a newer template": {`"name":"web","image"`, `"name":"web","newPolicy":"x","image"`, false},
		"an order of keys":            {`"name":"web","image":"r/web:1"`, `"image":"r/web:1","name":"web"`, true},
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
	a, b := "r/web@sha256:"+sixtyFour('a'), "r/web@sha256:"+sixtyFour('b')
	of := func(references ...string) *object {
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
		"the same":                         {of(a), of(a), true},
		"the same, by another name":        {of(a), of("mirror/web:1@sha256:" + sixtyFour('a')), true},
		"one fewer":                        {of(a, b), of(a), true},
		"the other way round":              {of(a, b), of(b, a), true},
		"another":                          {of(a), of(b), false},
		"one more":                         {of(a), of(a, b), false},
		"pinned now":                       {of("r/web:1"), of(a), false},
		"a tag, whose age nobody asks for": {of(a), of(a, "r/sidecar:1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keepsDigests(test.before, test.after); got != test.want {
				t.Errorf("keepsDigests = %t, want %t", got, test.want)
			}
		})
	}
}
