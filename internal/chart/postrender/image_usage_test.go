package postrender_test

import (
	"testing"

	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
)

func TestUsesImage(t *testing.T) {
	const digest, other = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	pod := func(image string) string {
		return "kind: Pod\nspec: {containers: [{name: a, image: \"" + image + "\"}]}\n"
	}
	for _, tt := range []struct {
		name, object string
		want         bool
	}{
		{"a pod", pod("registry.example.com/shop/web@" + digest), true},
		{"a pod, with a tag too", pod("registry.example.com/shop/web:v1@" + digest), true},
		{"a pod in a custom resource", "kind: Runner\nspec: {deep: [{containers: [{image: \"registry.example.com/shop/web@" + digest + "\"}]}]}\n", true},
		{"a custom resource that has the image in parts", "kind: Cluster\nspec: {image: {repository: shop/web, digest: \"" + digest + "\"}}\n", true},
		{"an operator's argument", "kind: Pod\nspec: {containers: [{image: \"registry.example.com/operator:v1\", args: [\"--image=registry.example.com/shop/web@" + digest + "\"]}]}\n", true},
		{"a tag", pod("registry.example.com/shop/web:v1"), false},
		{"another digest", pod("registry.example.com/shop/web@" + other), false},
		{"another repository", pod("mirror.example.com/shop/web@" + digest), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := postrender.UsesImage(manifests(tt.object), ladder.Pin{
				Image: ladder.Image{Name: "web", Repository: "registry.example.com/shop/web", ValuesPath: "image"}, Digest: digest,
			})
			if err != nil || got != tt.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
