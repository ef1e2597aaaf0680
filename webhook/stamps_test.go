package webhook

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestStamps(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	proven := env.PushProven(t)

	stamped := webhooktest.NewDeployment(namespace, proven)
	stamped.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "staging"}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), stamped), gate.OtherStamp)

	stamped = webhooktest.NewDeployment(namespace, proven)
	stamped.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationLadder: "shop"}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), stamped))

	stamped.Annotations[v1alpha1.AnnotationLadder] = "bank"
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), stamped), gate.OtherStamp)
}

func TestPodTemplateStamps(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	proven := env.PushProven(t)
	for name, test := range map[string]struct {
		own, template map[string]string
		want          []gate.Code
	}{
		"this environment":              {nil, map[string]string{v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationLadder: "shop"}, nil},
		"other environment":             {nil, map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, []gate.Code{gate.OtherStamp}},
		"other ladder":                  {nil, map[string]string{v1alpha1.AnnotationLadder: "bank"}, []gate.Code{gate.OtherStamp}},
		"template of other environment": {map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, []gate.Code{gate.OtherStamp}},
		"template of other ladder":      {map[string]string{v1alpha1.AnnotationLadder: "shop"}, map[string]string{v1alpha1.AnnotationLadder: "bank"}, []gate.Code{gate.OtherStamp}},
		"object of other environment":   {map[string]string{v1alpha1.AnnotationEnvironment: "staging"}, map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, []gate.Code{gate.OtherStamp}},
		"same stamps":                   {map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, map[string]string{v1alpha1.AnnotationEnvironment: "prod"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := webhooktest.NewDeployment(namespace, proven)
			deployment.Annotations, deployment.Spec.Template.Annotations = test.own, test.template
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment, client.DryRunAll), test.want...)
			cronJob := webhooktest.NewCronJob(namespace, proven)
			cronJob.Annotations, cronJob.Spec.JobTemplate.Spec.Template.Annotations = test.own, test.template
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), cronJob, client.DryRunAll), test.want...)
		})
	}
}
