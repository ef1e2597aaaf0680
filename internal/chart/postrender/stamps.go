package postrender

import (
	"github.com/envladder/envladder/api/v1alpha1"
)

// Stamps are the annotations that record what a workload was rendered for. A workload's own
// metadata gets all of them, and so do the Jobs of a CronJob. Pod templates don't get the
// chart's digest, so that a change of the chart alone restarts nothing. Stamps that the
// chart itself has written are overwritten.
type Stamps struct {
	Ladder      string
	Environment string
	// Target may be empty.
	Target string
	// ChartDigest as chart.Chart has it.
	ChartDigest string
}

// annotations returns the stamps of a workload and of its parts.
func (s Stamps) annotations(workload map[string]any) []partAnnotations {
	kind, _ := workload["kind"].(string)
	template := podTemplatePaths[kind]
	own := s.set()
	stamped := []partAnnotations{{nil, own}}
	if kind == "CronJob" {
		stamped = append(stamped, partAnnotations{template[:2], own})
	}
	if template != nil {
		podStamps := s
		podStamps.ChartDigest = ""
		stamped = append(stamped, partAnnotations{template, podStamps.set()})
	}
	return stamped
}

// set returns all stamps; an empty one removes what the chart wrote.
func (s Stamps) set() []annotation {
	return []annotation{
		{v1alpha1.AnnotationLadder, s.Ladder},
		{v1alpha1.AnnotationEnvironment, s.Environment},
		{v1alpha1.AnnotationTarget, s.Target},
		{v1alpha1.AnnotationChartDigest, s.ChartDigest},
	}
}
