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
		"the same":                         {objectWith(a), objectWith(a), true},
		"the same, by another name":        {objectWith(a), objectWith("mirror/web:1@" + webhooktest.Digest('a')), true},
		"one fewer":                        {objectWith(a, b), objectWith(a), true},
		"the other way round":              {objectWith(a, b), objectWith(b, a), true},
		"another":                          {objectWith(a), objectWith(b), false},
		"one more":                         {objectWith(a), objectWith(a, b), false},
		"pinned now":                       {objectWith("r/web:1"), objectWith(a), false},
		"a tag, whose age nobody asks for": {objectWith(a), objectWith(a, "r/sidecar:1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keepsDigests(test.before, test.after); got != test.want {
				t.Errorf("keepsDigests = %t, want %t", got, test.want)
			}
		})
	}
}
