package gate_test

import (
	"testing"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

func TestFindImage(t *testing.T) {
	spec := &v1alpha1.GateSpec{
		Images: []v1alpha1.GateImage{
			{Repository: "registry.example.com/shop/*", Ladder: "shop", Mirrors: []string{"mirror.example.com/cache/shop/*"}},
			{Repository: "docker.io/team/api", Mirrors: []string{"127.0.0.1:5000/api"}},
		},
		ExemptImages: []v1alpha1.ExemptImage{{Repository: "docker.io/istio/*", Tags: v1alpha1.TagsAllow}},
	}
	for name, test := range map[string]struct {
		pod  string
		want gate.Image
	}{
		"by its pattern":                      {"registry.example.com/shop/web", gate.Image{Repository: "registry.example.com/shop/web", Ladder: "shop"}},
		"from a mirror":                       {"mirror.example.com/cache/shop/web", gate.Image{Repository: "registry.example.com/shop/web", Ladder: "shop"}},
		"by its name":                         {"docker.io/team/api", gate.Image{Repository: "docker.io/team/api"}},
		"by docker.io's other name":           {"index.docker.io/team/api", gate.Image{Repository: "docker.io/team/api"}},
		"from a mirror by its name":           {"127.0.0.1:5000/api", gate.Image{Repository: "docker.io/team/api"}},
		"not deeper":                          {"registry.example.com/shop/web/debug", gate.Image{}},
		"not higher":                          {"registry.example.com/shop", gate.Image{}},
		"not from another host":               {"evil.example.com/shop/web", gate.Image{}},
		"not with a name that goes on":        {"docker.io/team/api2", gate.Image{}},
		"not with a prefix":                   {"registry.example.com/shopping/web", gate.Image{}},
		"not as the pattern itself":           {"registry.example.com/shop/*", gate.Image{}},
		"not with a digest, which isn't cut":  {"registry.example.com/shop/web@sha256:00", gate.Image{}},
		"not with a path that goes up":        {"registry.example.com/shop/..", gate.Image{}},
		"not in a repository without a name":  {"registry.example.com/shop/", gate.Image{}},
		"not an image that is only exempt":    {"docker.io/istio/proxyv2", gate.Image{}},
		"not one in another case of the host": {"Registry.example.com/shop/web", gate.Image{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := gate.FindImage(spec, test.pod)
			if got != test.want || ok != (test.want != gate.Image{}) {
				t.Errorf("%+v, %v; want %+v", got, ok, test.want)
			}
		})
	}
	if other, ok := gate.FindExempt(spec, "index.docker.io/istio/proxyv2"); !ok || other.Tags != v1alpha1.TagsAllow {
		t.Errorf("%+v, %v", other, ok)
	}
	if other, ok := gate.FindExempt(spec, "docker.io/evil/proxyv2"); ok {
		t.Errorf("admits %+v", other)
	}
}

func TestPatternNormalizesDockerHub(t *testing.T) {
	for text, repository := range map[string]string{
		"docker.io/nginx":         "docker.io/library/nginx",
		"index.docker.io/nginx":   "docker.io/library/nginx",
		"docker.io/*":             "docker.io/library/nginx",
		"docker.io/library/*":     "docker.io/library/nginx",
		"docker.io/istio/proxyv2": "docker.io/istio/proxyv2",
	} {
		p, err := gate.ParsePattern(text)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, ok := p.Match(repository); !ok {
			t.Errorf("%s doesn't match %s", text, repository)
		}
		if _, ok := p.Match("docker.io/evil/nginx"); ok {
			t.Errorf("%s matches another's image", text)
		}
	}
}

func TestPatternPort(t *testing.T) {
	for host, want := range map[string]bool{
		"r.io:1": true, "r.io:65535": true, "[::1]:5000": true, "[::1]": true, "127.0.0.1:5000": true,
		"r.io:0": false, "r.io:65536": false, "r.io:99999": false, "[::1]:99999": false,
	} {
		if _, err := gate.ParsePattern(host + "/shop/web"); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// FuzzParsePattern: what parses matches what it names, and a pattern overlaps itself.
func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"docker.io/istio/*", "127.0.0.1:5000/a", "[::1]:5000/a/b_c", "localhost/a", "a/*", "h.io/a:b", "h.io/a@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := gate.ParsePattern(text)
		if err != nil {
			return
		}
		if !p.Overlaps(p) {
			t.Errorf("%q doesn't overlap itself", text)
		}
		name := text
		if p.IsWildcard() {
			name = text[:len(text)-1] + "name"
		}
		if _, ok := p.Match(name); !ok {
			t.Errorf("%q doesn't match %q", text, name)
		}
	})
}
