package cloud

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// recording is a keychain that records the hosts it was queried for.
type recording struct{ queried []string }

func (r *recording) Resolve(target authn.Resource) (authn.Authenticator, error) {
	r.queried = append(r.queried, target.RegistryStr())
	return &authn.Basic{Username: "u", Password: "p"}, nil
}

// TestCloudIsQueriedForOwnRegistries, and not for hosts with a similar name.
func TestCloudIsQueriedForOwnRegistries(t *testing.T) {
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com":       "amazon",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":      "amazon",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "amazon",
		"public.ecr.aws": "amazon",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example": "",
		"evil-123456789012.dkr.ecr.eu-central-1.amazonaws.com":         "",
		"shop.azurecr.io":              "azure",
		"shop.azurecr.us":              "azure",
		"shop.azurecr.io.evil.example": "",
		"shopazurecr.io":               "",
		"azurecr.io.evil.example":      "",
		"gcr.io":                       "google",
		"eu.gcr.io":                    "google",
		"europe-docker.pkg.dev":        "google",
		"evilgcr.io":                   "",
		"gcr.io.evil.example":          "",
		"evil.example":                 "",
		"registry.example.com:5000":    "",
	} {
		t.Run(host, func(t *testing.T) {
			repository, err := name.NewRepository(host + "/shop/web")
			if err != nil {
				t.Fatal(err)
			}
			var queried []string
			for cloud, keychain := range clouds {
				recorded := &recording{}
				auth, err := scopedKeychain{keychain.(scopedKeychain).owns, recorded}.Resolve(repository)
				if err != nil {
					t.Fatal(err)
				}
				if (auth != authn.Anonymous) != (len(recorded.queried) > 0) {
					t.Errorf("%s: credentials %v, queried %v", cloud, auth, recorded.queried)
				}
				if len(recorded.queried) > 0 {
					queried = append(queried, cloud)
				}
			}
			if got := strings.Join(queried, ","); got != want {
				t.Errorf("queried %q, want %q", got, want)
			}
		})
	}
}

func TestUnknownCloud(t *testing.T) {
	if _, err := (&Options{Clouds: []string{"amazon", "cirrus"}}).Client(); err == nil || !strings.Contains(err.Error(), "amazon, azure, google") {
		t.Errorf("%v doesn't say which there are", err)
	}
	if _, err := (&Options{Clouds: []string{"amazon", "azure", "google"}}).Client(); err != nil {
		t.Error(err)
	}
}
