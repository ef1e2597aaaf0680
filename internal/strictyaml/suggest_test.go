package strictyaml_test

import (
	"testing"

	"github.com/envladder/envladder/internal/strictyaml"
)

func TestDidYouMean(t *testing.T) {
	for name, test := range map[string]struct {
		written string
		names   []string
		want    string
	}{
		"the nearest":                      {"replicaCuont", []string{"replicas", "replicaCount"}, `, did you mean "replicaCount"?`},
		"another case":                     {"Contact", []string{"contact"}, `, did you mean "contact"?`},
		"nothing near":                     {"contact", []string{"image"}, ""},
		"never what was written":           {"contact", []string{"contact"}, ""},
		"another besides what was written": {"contact", []string{"contact", "contacts"}, `, did you mean "contacts"?`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strictyaml.DidYouMean(test.written, test.names); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
