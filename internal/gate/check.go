package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Check returns the problems of a Gate, each with its path; none if the Gate can be used. It
// repeats the API server's rules, for Gates that are read from files, and checks what those
// rules can't express. CheckSupported reports what this version can't judge.
func Check(g *v1alpha1.Gate) []Reason {
	c := checker{spec: &g.Spec}
	c.namespaces()
	c.images()
	c.exemptImages()
	c.signers()
	c.requires()
	c.otherFields()
	return c.problems
}

// checker gathers the problems of a Gate.
type checker struct {
	spec     *v1alpha1.GateSpec
	problems []Reason
}

func (c *checker) problemf(path, format string, arguments ...any) {
	c.problems = append(c.problems, NewReason(GateInvalid, "%s: %s", path, fmt.Sprintf(format, arguments...)))
}

// maxLabel is RFC 1123's bound on a DNS label, which names of namespaces,
// environments, ladders and signers are.
const maxLabel = 63

var labelSyntax = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// label checks a name.
func (c *checker) label(path, name string) {
	if len(name) > maxLabel || !labelSyntax.MatchString(name) {
		c.problemf(path, "%s must be lower-case letters, digits and - between them, at most %d", quote(name), maxLabel)
	}
}

// unique checks that no name is listed twice.
func (c *checker) unique(path string, list []string) {
	seen := map[string]bool{}
	for i, name := range list {
		if seen[name] {
			c.problemf(fmt.Sprintf("%s[%d]", path, i), "%s is listed twice", quote(name))
		}
		seen[name] = true
	}
}

// positive checks a duration.
func (c *checker) positive(path string, d time.Duration) {
	if d <= 0 {
		c.problemf(path, "must be more than 0s, is %s", d)
	}
}

func (c *checker) namespaces() {
	c.label(".spec.environment", c.spec.Environment)
	if len(c.spec.Namespaces) == 0 {
		c.problemf(".spec.namespaces", "must name at least one")
	}
	for i, name := range c.spec.Namespaces {
		c.label(fmt.Sprintf(".spec.namespaces[%d]", i), name)
	}
	c.unique(".spec.namespaces", c.spec.Namespaces)
}

// otherFields checks provenHere, exceptions and observe.
func (c *checker) otherFields() {
	if p := c.spec.ProvenHere; p != nil {
		c.signersOf(".spec.provenHere.by", p.By)
		c.positive(".spec.provenHere.duration", p.Duration.Duration)
		c.trustedTime(".spec.provenHere.duration", p.By)
		if p.MaxAge != nil {
			c.positive(".spec.provenHere.maxAge", p.MaxAge.Duration)
		}
		for i, cluster := range p.Clusters {
			if cluster == "" {
				c.problemf(fmt.Sprintf(".spec.provenHere.clusters[%d]", i), "is empty")
			}
		}
		c.unique(".spec.provenHere.clusters", p.Clusters)
	}
	if e := c.spec.Exceptions; e != nil {
		c.signersOf(".spec.exceptions.by", e.By)
		c.count(".spec.exceptions.count", "people", e.Count, e.By)
	}
	if o := c.spec.Observe; o != nil {
		if len(o.AttestAfter) == 0 {
			c.problemf(".spec.observe.attestAfter", "must name at least one time")
		}
		for i, d := range o.AttestAfter {
			c.positive(fmt.Sprintf(".spec.observe.attestAfter[%d]", i), d.Duration)
		}
		if o.CheckpointEvery != nil {
			c.positive(".spec.observe.checkpointEvery", o.CheckpointEvery.Duration)
		}
		if o.RenewEvery != nil {
			c.positive(".spec.observe.renewEvery", o.RenewEvery.Duration)
		}
	}
	if c.spec.Observe == nil && isEmpty(c.spec.Requires) {
		c.problemf(".spec.requires", "has no requirements, so every image would be admitted; add one, or set observe if the Gate is only for the observer")
	}
}

func isEmpty(r v1alpha1.Requirements) bool {
	return r.Signature == nil && r.SBOM == nil && r.Provenance == nil && r.Soak == nil && len(r.Tests) == 0 && r.Approvals == nil
}

// signersOf checks the signers that a requirement names.
func (c *checker) signersOf(path string, by []string) {
	if len(by) == 0 {
		c.problemf(path, "must name at least one signer")
	}
	for i, name := range by {
		if _, ok := c.signer(name); !ok {
			c.problemf(fmt.Sprintf("%s[%d]", path, i), "%s isn't a signer of this Gate", quote(name))
		}
	}
	c.unique(path, by)
}

func (c *checker) signer(name string) (v1alpha1.Signer, bool) {
	i := slices.IndexFunc(c.spec.Signers, func(s v1alpha1.Signer) bool { return s.Name == name })
	if i < 0 {
		return v1alpha1.Signer{}, false
	}
	return c.spec.Signers[i], true
}

// count checks a number of different people, or observers: no more can be required than the
// signers name. Those that match a pattern aren't known beforehand.
func (c *checker) count(path, noun string, count int32, by []string) {
	if count < 0 {
		c.problemf(path, "must be at least 1, is %d", count)
	}
	people := map[string]bool{}
	for _, name := range by {
		signer, _ := c.signer(name)
		switch {
		case signer.Person != "":
			people[strings.ToLower(signer.Person)] = true
		case signer.Keyless == nil:
			people["signer "+name] = true
		case signer.Keyless.SubjectPattern != "":
			return
		case signer.Keyless.Subject != "":
			people[strings.ToLower(signer.Keyless.Subject)] = true
		default:
			for _, subject := range signer.Keyless.Subjects {
				people[strings.ToLower(subject)] = true
			}
		}
	}
	if int(count) > len(people) {
		c.problemf(path, "requires %d %s, but by names only %d", count, noun, len(people))
	}
}

// trustedTime rejects a time limit on statements whose time nothing proves.
func (c *checker) trustedTime(path string, by []string) {
	for _, name := range by {
		signer, ok := c.signer(name)
		if ok && signer.Keyless == nil && signer.Timestamp == "" && signer.Time != v1alpha1.TimeTrustSigner {
			c.problemf(path, "depends on time, and nothing proves the times of signer %s: set `timestamp` for it, or `time: TrustSigner` to trust its clock", quote(name))
		}
	}
}
