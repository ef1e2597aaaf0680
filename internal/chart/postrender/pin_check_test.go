package postrender_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
)

func TestPinCheck(t *testing.T) {
	const digest, other = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	pod := func(image string) string {
		return "kind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, image: \"" + image + "\"}]}\n"
	}
	for _, tt := range []struct {
		name, object string
		rejected     bool
	}{
		{"the pinned digest", pod("registry.example.com/shop/web@" + digest), false},
		{"the pinned digest and a tag", pod("registry.example.com/shop/web:v1@" + digest), false},
		{"another repository", pod("registry.example.com/shop/web2:v1"), false},
		{"a repository below", pod("registry.example.com/shop/web/proxy:v1"), false},
		{"a tag", pod("registry.example.com/shop/web:v1"), true},
		{"neither", pod("registry.example.com/shop/web"), true},
		{"another digest", pod("registry.example.com/shop/web@" + other), true},
		{"a digest that is none", pod("registry.example.com/shop/web@sha256:123"), true},
		{"the host in capitals", pod("REGISTRY.example.com/shop/web:v1"), true},
		{"docker.io by its short name", pod("nginx:1"), true},
		{"an init container", "kind: Job\nmetadata: {name: web}\nspec: {template: {spec: {initContainers: [{image: \"registry.example.com/shop/web:v1\"}]}}}\n", true},
		{"an image that is mounted", "kind: Pod\nmetadata: {name: web}\nspec: {volumes: [{image: {reference: \"registry.example.com/shop/web:v1\"}}]}\n", true},
		{"a pod in a custom resource", "kind: Runner\nmetadata: {name: web}\nspec: {deep: [{podSpec: {containers: [{image: \"registry.example.com/shop/web:v1\"}]}}]}\n", true},
		{"an item of a list", "kind: List\nitems: [{kind: Pod, metadata: {name: web}, spec: {containers: [{image: \"registry.example.com/shop/web:v1\"}]}}]\n", true},
		{"an item of what has any kind", "kind: Deployment\nitems: [{kind: Pod, metadata: {name: web}, spec: {containers: [{image: \"registry.example.com/shop/web:v1\"}]}}]\n", true},
		{"keys with escapes", "kind: Pod\nmetadata: {name: web}\nspec: {containers: [{\"\\x69mage\": \"registry.example.com/shop/web:v1\"}]}\n", true},
		{"words in base64", "kind: !!binary UG9k\nmetadata: {name: web}\nspec: {containers: [{!!binary aW1hZ2U=: \"registry.example.com/shop/web:v1\"}]}\n", true},
		{"one of two digests of a repository", pod("registry.example.com/shop/two@" + other), false},
		{"the other of them", pod("registry.example.com/shop/two@" + digest), false},
		{"neither of them", pod("registry.example.com/shop/two:v1"), true},
		{"a name in text", "kind: ConfigMap\nmetadata: {name: web}\ndata: {image: \"registry.example.com/shop/web:v1\"}\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := postrender.Run(manifests(tt.object), postrender.Options{Pins: []ladder.Pin{
				{Image: ladder.Image{Name: "nginx", Repository: "docker.io/library/nginx", ValuesPath: "nginx"}, Digest: digest, Source: "pins.yaml"},
				{Image: ladder.Image{Name: "one", Repository: "registry.example.com/shop/two", ValuesPath: "one"}, Digest: digest, Source: "pins.yaml"},
				{Image: ladder.Image{Name: "two", Repository: "registry.example.com/shop/two", ValuesPath: "two"}, Digest: other, Source: "pins.yaml"},
				{Image: ladder.Image{Name: "web", Repository: "registry.example.com/shop/web", ValuesPath: "image"}, Digest: digest, Source: "pins.yaml"},
			}})
			if !tt.rejected {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), `"web" of template "t.yaml" runs `) || !strings.Contains(err.Error(), "pins.yaml pins image ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
