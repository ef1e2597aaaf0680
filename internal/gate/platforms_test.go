package gate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/gate"
)

func TestSoakPlatforms(t *testing.T) {
	const whole = 24 * 3600
	child := func(platform string, seconds int64) gate.SoakPlatform {
		return gate.SoakPlatform{Platform: platform, Digest: digestOf(platform), HealthySeconds: seconds}
	}
	amd64, arm64 := child("linux/amd64", whole), child("linux/arm64", whole)
	missing := codes{gate.SoakPlatforms}
	for name, test := range map[string]struct {
		required []string
		soaked   []gate.SoakPlatform
		want     codes
	}{
		"every platform soaked":                            {nil, []gate.SoakPlatform{amd64, arm64}, nil},
		"one platform has not soaked at all":               {nil, []gate.SoakPlatform{amd64, child("linux/arm64", 0)}, missing},
		"one platform soaked a second less":                {nil, []gate.SoakPlatform{amd64, child("linux/arm64", whole-1)}, missing},
		"a child without a platform":                       {nil, []gate.SoakPlatform{amd64, child("", 0)}, missing},
		"the required platforms soaked":                    {[]string{"linux/amd64"}, []gate.SoakPlatform{amd64, child("linux/arm64", 0)}, nil},
		"a required platform has not soaked":               {[]string{"linux/amd64", "linux/arm64"}, []gate.SoakPlatform{amd64, child("linux/arm64", 0)}, missing},
		"a required platform is not in the image":          {[]string{"linux/amd64", "linux/arm64"}, []gate.SoakPlatform{amd64}, missing},
		"a required platform is only a beginning":          {[]string{"linux/arm"}, []gate.SoakPlatform{arm64}, missing},
		"a required platform in a variant":                 {[]string{"linux/arm64"}, []gate.SoakPlatform{child("linux/arm64/v8", whole)}, nil},
		"a required variant":                               {[]string{"linux/arm64/v8"}, []gate.SoakPlatform{arm64}, missing},
		"one of two variants of a required platform":       {[]string{"linux/arm"}, []gate.SoakPlatform{child("linux/arm/v6", 0), child("linux/arm/v7", whole)}, missing},
		"a child without a platform, of what isn't chosen": {[]string{"linux/amd64"}, []gate.SoakPlatform{amd64, child("", 0)}, nil},
		"an image of one platform":                         {[]string{"linux/amd64"}, nil, nil},
		"the judged image is one platform's own":           {[]string{"linux/arm64"}, []gate.SoakPlatform{{Platform: "linux/amd64", Digest: digest, HealthySeconds: whole}, child("linux/arm64", 0)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := proven()
			r.Gate.Spec.Requires.Soak.Platforms = test.required
			r.Evidence[theSoak].Soak.Image.Digest = digest
			r.Evidence[theSoak].Soak.Image.Platforms = test.soaked
			v := gate.Decide(r)
			if diff := cmp.Diff(append(codes{}, test.want...), codesOf(v)); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", v.Reasons, diff)
			}
		})
	}
	t.Run("the reason names the platforms and what to do", func(t *testing.T) {
		r := proven()
		r.Evidence[theSoak].Soak.Image.Digest = digest
		r.Evidence[theSoak].Soak.Image.Platforms = []gate.SoakPlatform{amd64, child("linux/arm64", 0), child("", 0)}
		reasons := gate.Decide(r).Reasons
		if !slices.ContainsFunc(reasons, func(r gate.Reason) bool {
			return strings.HasPrefix(r.Message, `needs 24h on each platform, and has less on "a child without a platform", "linux/arm64": soak by "observer"`) && strings.Contains(r.Remedy, "soak.platforms")
		}) {
			t.Errorf("%+v", reasons)
		}
	})
}
