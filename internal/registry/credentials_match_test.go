package registry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPullSecretMatching has the examples of the Kubernetes documentation ("Interpretation
// of config.json"), and those of Docker Hub's names.
func TestPullSecretMatching(t *testing.T) {
	images := map[string]string{"my-registry.example/images": "a", "*.my-registry.example/images": "b"}
	nested := map[string]string{"my-registry.example/images": "a", "my-registry.example/images/subpath": "b"}
	for name, test := range map[string]struct {
		keys       map[string]string // of a user
		repository string
		want       []string
	}{
		"a pattern needs its part":         {map[string]string{"*.kubernetes.io": "a"}, "kubernetes.io/app", nil},
		"a pattern is one part":            {map[string]string{"*.kubernetes.io": "a"}, "abc.kubernetes.io/app", []string{"a"}},
		"two patterns are two parts":       {map[string]string{"*.*.kubernetes.io": "a"}, "abc.kubernetes.io/app", nil},
		"two patterns match two parts":     {map[string]string{"*.*.kubernetes.io": "a"}, "abc.def.kubernetes.io/app", []string{"a"}},
		"a pattern in the middle":          {map[string]string{"prefix.*.io": "a"}, "prefix.kubernetes.io/app", []string{"a"}},
		"a pattern as part of a part":      {map[string]string{"*-good.kubernetes.io": "a"}, "prefix-good.kubernetes.io/app", []string{"a"}},
		"the path itself":                  {images, "my-registry.example/images", []string{"a"}},
		"below the path":                   {images, "my-registry.example/images/my-image", []string{"a"}},
		"another below the path":           {images, "my-registry.example/images/another-image", []string{"a"}},
		"a subdomain":                      {images, "sub.my-registry.example/images/my-image", []string{"b"}},
		"a subdomain of a subdomain":       {images, "a.sub.my-registry.example/images/my-image", nil},
		"a subdomain three levels down":    {images, "a.b.sub.my-registry.example/images/my-image", nil},
		"several, the most specific first": {nested, "my-registry.example/images/subpath/my-image", []string{"b", "a"}},
		"the host before the pattern":      {map[string]string{"*.example.com": "a", "r.example.com": "b"}, "r.example.com/app", []string{"b", "a"}},
		"another port":                     {map[string]string{"r.example.com": "a"}, "r.example.com:5000/app", nil},
		"its port":                         {map[string]string{"*.example.com:5000": "a"}, "r.example.com:5000/app", []string{"a"}},
		"a URL":                            {map[string]string{"https://r.example.com/v2/": "a"}, "r.example.com/app", []string{"a"}},
		"a URL with a path":                {map[string]string{"https://r.example.com/v1/team": "a"}, "r.example.com/team/app", []string{"a"}},
		"a malformed pattern":              {map[string]string{"[.example.com": "a"}, "r.example.com/app", nil},
		"docker.io":                        {map[string]string{"docker.io": "a"}, "library/nginx", []string{"a"}},
		"docker.io with a path":            {map[string]string{"docker.io/acme": "a"}, "docker.io/acme/web", []string{"a"}},
		"docker.io with another path":      {map[string]string{"docker.io/acme": "a"}, "docker.io/library/nginx", nil},
		"docker's own key of Docker Hub":   {map[string]string{"https://index.docker.io/v1/": "a"}, "docker.io/acme/web", []string{"a"}},
		"docker.io before docker's own":    {map[string]string{"https://index.docker.io/v1/": "a", "docker.io": "b"}, "docker.io/acme/web", []string{"b"}},
		"a pattern for Docker Hub":         {map[string]string{"*.io": "a"}, "docker.io/acme/web", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := `{"auths":{`
			for key, user := range test.keys {
				config += `"` + key + `":{"username":"` + user + `","password":"x"},`
			}
			file := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(file, []byte(config[:len(config)-1]+"}}"), 0o600); err != nil {
				t.Fatal(err)
			}
			repository, err := parseRepository(test.repository)
			if err != nil {
				t.Fatal(err)
			}
			found, err := pullSecret(file).matching(repository)
			if err != nil {
				t.Fatal(err)
			}
			var users []string
			for _, one := range found {
				config, err := one.Authorization()
				if err != nil {
					t.Fatal(err)
				}
				users = append(users, config.Username)
			}
			if diff := cmp.Diff(test.want, users); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
		})
	}
}
