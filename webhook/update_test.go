package webhook

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestUnprovenUpdate updates a Deployment that existed before its Gate and whose digest isn't
// proven.
func TestUnprovenUpdate(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	unproven, another := env.Push(t, "shop/web"), env.Push(t, "shop/web")
	deployment := webhooktest.NewDeployment(namespace, unproven)
	deployment.Spec.Replicas = new(int32(3))
	deployment.Finalizers = []string{"example.com/first", "example.com/second"}
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))
	all := []gate.Code{gate.NoSignature, gate.NoSoak}

	update := func(t *testing.T, change func(*appsv1.Deployment), want ...gate.Code) {
		t.Helper()
		changed := deployment.DeepCopy()
		change(changed)
		err := env.Client.Update(t.Context(), changed)
		webhooktest.WantCodes(t, err, want...)
		if err == nil {
			deployment = changed
		}
	}
	steps := []struct {
		name   string
		change func(*appsv1.Deployment)
		want   []gate.Code
	}{
		{"label is admitted", func(d *appsv1.Deployment) { d.Labels = map[string]string{"team": "shop"} }, nil},
		{"removed finalizer is admitted", func(d *appsv1.Deployment) { d.Finalizers = d.Finalizers[:1] }, nil},
		{"scale-down is admitted", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }, nil},
		{"unset replicas are admitted", func(d *appsv1.Deployment) { d.Spec.Replicas = nil }, nil},
		{"scale-up is admitted: its pods are judged", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }, nil},
		{"scale-down with other image is judged", func(d *appsv1.Deployment) {
			d.Spec.Replicas = new(int32(0))
			d.Spec.Template.Spec.Containers[0].Image = another
		}, all},
		{"removed finalizer with other image is judged", func(d *appsv1.Deployment) {
			d.Finalizers = nil
			d.Spec.Template.Spec.Containers[0].Image = another
		}, all},
		{"scale-down with other template is judged", func(d *appsv1.Deployment) {
			d.Spec.Replicas = new(int32(0))
			d.Spec.Template.Labels["more"] = "x"
		}, all},
		{"changed template is judged", func(d *appsv1.Deployment) {
			d.Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
		}, all},
		{"changed stamp is judged", func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{v1alpha1.AnnotationLadder: "shop"}
		}, all},
		{"other annotation is admitted", func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{"example.com/x": "y"}
		}, nil},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) { update(t, step.change, step.want...) })
	}
	t.Run("status is admitted", func(t *testing.T) {
		changed := deployment.DeepCopy()
		changed.Status.Replicas = 1
		webhooktest.WantCodes(t, env.Client.Status().Update(t.Context(), changed))
		deployment = changed
	})
	t.Run("while being deleted other image is judged", func(t *testing.T) {
		if err := env.Client.Delete(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil {
			t.Fatal(err)
		}
		if deployment.DeletionTimestamp == nil {
			t.Fatal("the Deployment isn't being deleted")
		}
		update(t, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = another }, all...)
		update(t, func(d *appsv1.Deployment) { d.Finalizers = nil })
	})
}

func TestPodUpdate(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	unproven := env.Push(t, "shop/web")
	pod := webhooktest.NewPod(namespace, "web", unproven)
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))

	labelled := pod.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), labelled))

	moved := labelled.DeepCopy()
	moved.Spec.Containers[0].Image = env.Push(t, "shop/web")
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), moved), gate.NoSignature, gate.NoSoak)

	moved.Spec.Containers[0].Image = env.PushProven(t)
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), moved))
}

func TestUpdateSkipsAgeOfRunningDigests(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, alsoAged := env.PushAged(t), env.PushAged(t)
	deployment := webhooktest.NewDeployment(namespace, aged)
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPodTemplate(namespace, aged)), gate.SoakTooOld) // it is too old to deploy

	changed := deployment.DeepCopy()
	changed.Spec.Template.Labels["more"] = "x"
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), changed))

	other := changed.DeepCopy()
	other.Spec.Template.Spec.Containers[0].Image = alsoAged
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), other), gate.SoakTooOld)

	withInit := changed.DeepCopy()
	withInit.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "new", Image: env.PushProven(t)}}
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), withInit), gate.SoakTooOld)

	env.createRecall(t, workload.DigestOf(aged))
	restarted := changed.DeepCopy()
	restarted.Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), restarted), gate.Recalled)
}

func TestUnchangedUpdateWithoutRegistry(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	image := "127.0.0.1:1/shop/web@" + webhooktest.Digest('a')
	deployment := webhooktest.NewDeployment(namespace, image)
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	g := env.ProdGate(namespace)
	g.Spec.Images[0].Repository = "127.0.0.1:1/shop/*"
	env.createGate(t, g)

	deployment.Spec.Replicas = new(int32(0))
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment))
	deployment.Spec.Template.Labels["more"] = "x"
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment), gate.RegistryUnavailable)
}

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
