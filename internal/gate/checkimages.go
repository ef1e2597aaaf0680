package gate

import "fmt"

// named is a pattern and its path in the Gate.
type named struct {
	path    string
	pattern Pattern
}

// images checks the repositories. An image must be found in one entry only, or the
// entries' ladders would contradict each other.
func (c *checker) images() {
	var all []named
	for i, image := range c.spec.Images {
		path := fmt.Sprintf(".spec.images[%d]", i)
		if image.Ladder != "" {
			c.label(path+".ladder", image.Ladder)
		}
		home, ok := c.pattern(path+".repository", image.Repository)
		if ok {
			all = c.disjoint(all, home)
		}
		if image.Evidence != "" {
			evidence, parsed := c.pattern(path+".evidence", image.Evidence)
			if parsed && ok && evidence.pattern.IsWildcard() != home.pattern.IsWildcard() {
				c.problemf(evidence.path, "%s must end in /* if and only if repository %s does", quote(image.Evidence), quote(image.Repository))
			}
		}
		for k, from := range image.Mirrors {
			mirror, parsed := c.pattern(fmt.Sprintf("%s.mirrors[%d]", path, k), from)
			if !parsed {
				continue
			}
			if ok && mirror.pattern.IsWildcard() != home.pattern.IsWildcard() {
				c.problemf(mirror.path, "%s must end in /* if and only if repository %s does", quote(from), quote(image.Repository))
				continue
			}
			all = c.disjoint(all, mirror)
		}
	}
}

// disjoint adds a pattern to those before it, and reports images that they have in common.
func (c *checker) disjoint(before []named, next named) []named {
	for _, b := range before {
		if b.pattern.Overlaps(next.pattern) {
			c.problemf(next.path, "has images in common with %s; list each image once", b.path)
		}
	}
	return append(before, next)
}

// exemptImages may overlap with images, which come first; the same pattern in both is a slip.
func (c *checker) exemptImages() {
	for i, other := range c.spec.ExemptImages {
		p, ok := c.pattern(fmt.Sprintf(".spec.exemptImages[%d].repository", i), other.Repository)
		if !ok {
			continue
		}
		for k, image := range c.spec.Images {
			if home, err := ParsePattern(image.Repository); err == nil && home == p.pattern {
				c.problemf(p.path, "is .spec.images[%d] too: list it in images or in exemptImages, not in both", k)
			}
		}
	}
}

func (c *checker) pattern(path, text string) (named, bool) {
	pattern, err := ParsePattern(text)
	if err != nil {
		c.problemf(path, "%v", err)
		return named{}, false
	}
	return named{path, pattern}, true
}
