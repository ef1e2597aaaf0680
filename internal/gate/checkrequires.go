package gate

import (
	"fmt"
	"regexp"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

func (c *checker) requires() {
	r := c.spec.Requires
	if r.Signature != nil {
		c.signature(".spec.requires.signature", r.Signature)
	}
	if r.SBOM != nil {
		c.signersOf(".spec.requires.sbom.by", r.SBOM.By)
	}
	if r.Provenance != nil {
		c.signersOf(".spec.requires.provenance.by", r.Provenance.By)
		if s := r.Provenance.Source; s != nil {
			if _, err := requiredSource(s); err != nil {
				c.problemf(".spec.requires.provenance.source", "%v", err)
			}
		}
	}
	if r.Soak != nil {
		c.soak(".spec.requires.soak", r.Soak)
	}
	c.tests(".spec.requires.tests", r.Tests)
	if a := r.Approvals; a != nil {
		const path = ".spec.requires.approvals"
		c.signersOf(path+".by", a.By)
		c.count(path+".count", "people", a.Count, a.By)
		if a.MaxAge != nil {
			c.maxAge(path+".maxAge", a.MaxAge.Duration, a.By)
		}
	}
}

func (c *checker) signature(path string, s *v1alpha1.SignatureRequirement) {
	switch policy := s.ClusterImagePolicy != ""; {
	case policy && len(s.By) > 0:
		c.problemf(path, "set exactly one of by and clusterImagePolicy")
	case !policy:
		c.signersOf(path+".by", s.By)
	}
}

var platformSyntax = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$`)

func (c *checker) soak(path string, s *v1alpha1.SoakRequirement) {
	c.signersOf(path+".by", s.By)
	c.label(path+".environment", s.Environment)
	if s.Environment == c.spec.Environment {
		c.problemf(path+".environment", "is the Gate's own environment: a digest that an Exception admitted there would prove itself; name an earlier environment, or use provenHere")
	}
	c.count(path+".count", "observers", s.Count, s.By)
	c.positive(path+".duration", s.Duration.Duration)
	c.trustedTime(path+".duration", s.By) // covers maxAge too
	if s.CheckpointEvery != nil {
		c.positive(path+".checkpointEvery", s.CheckpointEvery.Duration)
	}
	if s.MaxAge != nil {
		c.positive(path+".maxAge", s.MaxAge.Duration)
	}
	if s.MaxGap != nil {
		c.positive(path+".maxGap", s.MaxGap.Duration)
	}
	if s.MaxRestarts != nil && *s.MaxRestarts < 0 {
		c.problemf(path+".maxRestarts", "must be at least 0, is %d", *s.MaxRestarts)
	}
	for i, platform := range s.Platforms {
		if !platformSyntax.MatchString(platform) {
			c.problemf(fmt.Sprintf("%s.platforms[%d]", path, i), "%s must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/arm64", quote(platform))
		}
	}
	c.unique(path+".platforms", s.Platforms)
	if s.MinReady != nil && *s.MinReady < 1 {
		c.problemf(path+".minReady", "must be at least 1, is %d", *s.MinReady)
	}
}

func (c *checker) tests(path string, tests []v1alpha1.TestRequirement) {
	seen := map[string]bool{}
	for i, test := range tests {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case test.Name == "":
			c.problemf(at+".name", "name the suite")
		case seen[test.Name]:
			c.problemf(at+".name", "%s is listed twice", quote(test.Name))
		}
		seen[test.Name] = true
		c.signersOf(at+".by", test.By)
		if test.MaxAge != nil {
			c.maxAge(at+".maxAge", test.MaxAge.Duration, test.By)
		}
	}
}

// maxAge checks a maximum age.
func (c *checker) maxAge(path string, age time.Duration, by []string) {
	c.positive(path, age)
	c.trustedTime(path, by)
}
