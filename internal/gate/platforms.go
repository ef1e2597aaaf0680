package gate

import (
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// soakPlatforms reports the platforms of an index that haven't soaked for long enough:
// those that the Gate names, or all that the index has. Pods that name an index count whole,
// so without this the children of the other platforms would be taken for soaked.
//
// A statement that lists no platforms is about an image of one, and one that lists the
// judged digest among its platforms is judged by that platform's time (healthy).
func (j *decision) soakPlatforms(e Evidence, required *v1alpha1.SoakRequirement) []Reason {
	platforms := e.Soak.Image.Platforms
	if len(platforms) == 0 || slices.ContainsFunc(platforms, func(p SoakPlatform) bool { return p.Digest == j.Image.Digest }) {
		return nil
	}
	short := func(p SoakPlatform) bool {
		return time.Duration(p.HealthySeconds)*time.Second < required.Duration.Duration
	}
	var lacking []string
	if len(required.Platforms) == 0 {
		for _, p := range platforms {
			if short(p) {
				lacking = append(lacking, platformName(p.Platform))
			}
		}
	}
	for _, want := range required.Platforms {
		matching := slices.DeleteFunc(slices.Clone(platforms), func(p SoakPlatform) bool { return !isPlatform(p.Platform, want) })
		if len(matching) == 0 || slices.ContainsFunc(matching, short) {
			lacking = append(lacking, want)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	slices.Sort(lacking)
	return []Reason{NewReason(SoakPlatforms, "needs %s on each platform, and has less on %s: %s", printable.Duration(required.Duration.Duration), names(slices.Compact(lacking)), e.title())}
}

// isPlatform reports whether os/arch[/variant] is the wanted platform, of any variant where
// none is wanted.
func isPlatform(is, want string) bool {
	rest, found := strings.CutPrefix(is, want)
	return found && (rest == "" || rest[0] == '/')
}

// platformName returns a name for a platform in messages. A child of an index that states no
// platform may be chosen by a container runtime on any.
func platformName(platform string) string {
	if platform == "" {
		return "a child without a platform"
	}
	return platform
}
