package chart

import (
	"fmt"
	"regexp"

	"github.com/gobwas/glob"
	helm "helm.sh/helm/v3/pkg/chart"
)

// filesRead matches how a template reads files whose names it spells out.
var filesRead = regexp.MustCompile(`\.Files\.(Get|GetBytes|Lines|Glob)\s+["\x60]([^"\x60]+)["\x60]`)

// checkOwned rejects a template that reads a file which is in the chart's folder but is
// the ladder's own: it isn't part of the chart, and would be read as if it weren't there.
func checkOwned(c *helm.Chart, owned []string) error {
	if len(owned) == 0 {
		return nil
	}
	for _, template := range c.Templates {
		for _, read := range filesRead.FindAllStringSubmatch(string(template.Data), -1) {
			if file, ok := readsOne(read[1], read[2], owned); ok {
				return fmt.Errorf("template %q reads %q, which is the ladder's own (a layer, pins) and so isn't part of the chart: move one of the two to another folder", template.Name, file)
			}
		}
	}
	for _, child := range c.Dependencies() { // a library's templates run with the files of who includes them
		if err := checkOwned(child, owned); err != nil {
			return err
		}
	}
	return nil
}

func readsOne(function, argument string, owned []string) (file string, ok bool) {
	matches := func(file string) bool { return file == argument }
	if function == "Glob" {
		pattern, err := glob.Compile(argument, '/') // as Helm does
		if err != nil {
			return "", false
		}
		matches = pattern.Match
	}
	for _, file := range owned {
		if matches(file) {
			return file, true
		}
	}
	return "", false
}
