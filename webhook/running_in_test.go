package webhook

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestRunningIn checks that the age of evidence isn't judged for objects that each sync
// recreates (preflight checks, migrations), as far as their digests run in a workload that they
// name.
func TestRunningIn(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, otherAged := env.PushAged(t), env.PushAged(t)
	before := func(o client.Object) {
		if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	before(webhooktest.NewDeployment(namespace, aged))
	oldReplicaSet := webhooktest.NewReplicaSet(namespace, otherAged)
	oldReplicaSet.Name = "old"
	before(oldReplicaSet)
	controlled := webhooktest.NewStatefulSet(namespace, otherAged)
	controlled.Name = "controlled"
	webhooktest.SetOwner(controlled, oldReplicaSet, "apps/v1", "ReplicaSet")
	before(controlled)
	leaving := webhooktest.NewDaemonSet(namespace, otherAged)
	leaving.Name, leaving.Finalizers = "leaving", []string{"example.com/stay"}
	before(leaving)
	if err := env.Client.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	elsewhere := env.NewNamespace(t)
	other := webhooktest.NewDeployment(elsewhere, otherAged)
	other.Name = "elsewhere"
	before(other)
	env.createGate(t, env.ProdGate(namespace))

	many := strings.Repeat("Deployment/none,", v1alpha1.MaxRunningIn) + "Deployment/web"
	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		object    client.Object
		runningIn string
		want      []gate.Code
	}{
		"preflight check":                   {webhooktest.NewPodTemplate(namespace, aged), "Deployment/web", nil},
		"migration":                         {webhooktest.NewJob(namespace, aged), "CronJob/none,Deployment/web", nil},
		"pod":                               {webhooktest.NewPod(namespace, "web", aged), "Deployment/web", nil},
		"without annotation":                {webhooktest.NewPodTemplate(namespace, aged), "", tooOld},
		"digest not running":                {webhooktest.NewPodTemplate(namespace, otherAged), "Deployment/web", tooOld},
		"missing workload":                  {webhooktest.NewPodTemplate(namespace, aged), "Deployment/none", tooOld},
		"old ReplicaSet":                    {webhooktest.NewPodTemplate(namespace, otherAged), "ReplicaSet/old", tooOld},
		"workload with controller":          {webhooktest.NewPodTemplate(namespace, otherAged), "StatefulSet/controlled", tooOld},
		"workload being deleted":            {webhooktest.NewPodTemplate(namespace, otherAged), "DaemonSet/leaving", tooOld},
		"workload of other namespace":       {webhooktest.NewPodTemplate(namespace, otherAged), "Deployment/elsewhere", tooOld},
		"more workloads than are looked up": {webhooktest.NewPodTemplate(namespace, aged), many, tooOld},
		"malformed annotation":              {webhooktest.NewPodTemplate(namespace, aged), "Deployment/,/web,,Deployment/../web,Secret/web", tooOld},
		"StatefulSet is a deploy":           {webhooktest.NewStatefulSet(namespace, aged), "Deployment/web", tooOld},
	} {
		t.Run(name, func(t *testing.T) {
			test.object.SetName("")
			test.object.SetGenerateName("made-")
			if test.runningIn != "" {
				test.object.SetAnnotations(map[string]string{v1alpha1.AnnotationRunningIn: test.runningIn})
			}
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), test.object), test.want...)
		})
	}

	t.Run("Recall still denies", func(t *testing.T) {
		env.createRecall(t, workload.DigestOf(aged))
		recalled := webhooktest.NewPodTemplate(namespace, aged)
		recalled.Annotations = map[string]string{v1alpha1.AnnotationRunningIn: "Deployment/web"}
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), recalled), gate.Recalled)
	})
}
