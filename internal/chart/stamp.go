package chart

import (
	"maps"
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Stamps say what a workload was rendered for, as annotations. A workload's own metadata
// gets all stamps, and so do the Jobs of a CronJob; pod templates don't get the chart's
// digest, so that a chart's edit restarts nothing by itself. Stamps that the chart itself
// wrote are overwritten.
type Stamps struct {
	Ladder      string
	Environment string
	// Target may be empty.
	Target string
	// ChartDigest is Chart.Digest.
	ChartDigest string
}

// podTemplates are the kinds that are stamped, and where they have their pod template.
// They go by kind alone: a group's versions come and go, and what another group calls
// a Deployment is one too.
var podTemplates = map[string][]string{
	"Deployment":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"ReplicationController": {"spec", "template"},
	"Rollout":               {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"PodTemplate":           {"template"},
	"Pod":                   nil,
}

var workloads = slices.Sorted(maps.Keys(podTemplates))

func isWorkload(object map[string]any) bool {
	kind, _ := object["kind"].(string)
	_, ok := podTemplates[kind]
	return ok
}

// places are those of a workload that are stamped.
func (s Stamps) places(workload map[string]any) []place {
	kind, _ := workload["kind"].(string)
	template := podTemplates[kind]
	own := s.annotations()
	stamped := []place{{nil, own}}
	if kind == "CronJob" {
		stamped = append(stamped, place{template[:2], own})
	}
	if template != nil {
		ofPods := s
		ofPods.ChartDigest = ""
		stamped = append(stamped, place{template, ofPods.annotations()})
	}
	return stamped
}

func (s Stamps) annotations() []annotation {
	return []annotation{
		{v1alpha1.AnnotationLadder, s.Ladder},
		{v1alpha1.AnnotationEnvironment, s.Environment},
		{v1alpha1.AnnotationTarget, s.Target},
		{v1alpha1.AnnotationChartDigest, s.ChartDigest},
	}
}
