package chart

import (
	"fmt"
	"regexp"

	"github.com/gobwas/glob"
	helm "helm.sh/helm/v3/pkg/chart"
)

// filesRead matches calls in a template that read files by literal names.
var filesRead = regexp.MustCompile(`\.Files\.(Get|GetBytes|Lines|Glob)\s+["\x60]([^"\x60]+)["\x60]`)

// checkOwned rejects a template that reads one of the ladder's own files in the chart's
// folder: the file isn't part of the chart, and the template would read nothing.
func checkOwned(c *helm.Chart, owned []string) error {
	if len(owned) == 0 {
		return nil
	}
	for _, template := range c.Templates {
		for _, read := range filesRead.FindAllStringSubmatch(string(template.Data), -1) {
			if file, ok := matchOwned(read[1], read[2], owned); ok {
				return fmt.Errorf("template %q reads %q, which belongs to the ladder (a layer, pins) and isn't part of the chart: move one of the two to another folder", template.Name, file)
			}
		}
	}
	for _, child := range c.Dependencies() { // a library's templates read the files of the chart that includes them
		if err := checkOwned(child, owned); err != nil {
			return err
		}
	}
	return nil
}

// matchOwned returns the ladder's own file that a call with the argument reads.
func matchOwned(function, argument string, owned []string) (file string, ok bool) {
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
