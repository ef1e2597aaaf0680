package webhook

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/podtemplate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestRescheduled checks that the age of evidence isn't judged for objects that controllers
// create for a live owner, and that it is for all others.
func TestRescheduled(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, otherAged, recalled, unproven := env.PushAged(t), env.PushAged(t), env.PushAged(t), env.Push(t, "shop/web")

	owners := map[string]client.Object{} // by kind and image, as there before the Gate
	create := func(key string, owner client.Object) {
		owner.SetName(key)
		if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		owners[key] = owner
	}
	create("replicaset", webhooktest.NewReplicaSet(namespace, aged))
	create("replicaset-recalled", webhooktest.NewReplicaSet(namespace, recalled))
	create("replicaset-unproven", webhooktest.NewReplicaSet(namespace, unproven))
	create("deployment", webhooktest.NewDeployment(namespace, aged))
	create("statefulset", webhooktest.NewStatefulSet(namespace, aged))
	create("daemonset", webhooktest.NewDaemonSet(namespace, aged))
	create("rc", webhooktest.NewReplicationController(namespace, aged))
	create("job", webhooktest.NewJob(namespace, aged))
	create("cronjob", webhooktest.NewCronJob(namespace, aged))
	leaving := webhooktest.NewReplicaSet(namespace, aged)
	leaving.Finalizers = []string{"example.com/stay"}
	create("leaving", leaving)
	if err := env.Client.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	env.createGate(t, env.ProdGate(namespace))
	env.createRecall(t, workload.DigestOf(recalled))

	const (
		kcm     = "system:kube-controller-manager"
		service = "system:serviceaccount:kube-system:"
	)
	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user       string
		object     client.Object
		image      string
		owner      string
		apiVersion string
		kind       string
		want       []gate.Code
	}{
		"pod of ReplicaSet":                    {kcm, nil, aged, "replicaset", "apps/v1", "ReplicaSet", nil},
		"pod of ReplicaSet, own account":       {service + "replicaset-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", nil},
		"pod of StatefulSet":                   {service + "statefulset-controller", nil, aged, "statefulset", "apps/v1", "StatefulSet", nil},
		"pod of DaemonSet":                     {service + "daemon-set-controller", nil, aged, "daemonset", "apps/v1", "DaemonSet", nil},
		"pod of ReplicationController":         {service + "replication-controller", nil, aged, "rc", "v1", "ReplicationController", nil},
		"pod of Job":                           {service + "job-controller", nil, aged, "job", "batch/v1", "Job", nil},
		"ReplicaSet of Deployment":             {service + "deployment-controller", webhooktest.NewReplicaSet(namespace, aged), aged, "deployment", "apps/v1", "Deployment", nil},
		"Job of CronJob":                       {service + "cronjob-controller", webhooktest.NewJob(namespace, aged), aged, "cronjob", "batch/v1", "CronJob", nil},
		"controller of other kind":             {service + "job-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", tooOld},
		"controller not of workloads":          {service + "generic-garbage-collector", nil, aged, "replicaset", "apps/v1", "ReplicaSet", tooOld},
		"same account name in other namespace": {"system:serviceaccount:shop:replicaset-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", tooOld},
		"person":                               {"ana", nil, aged, "replicaset", "apps/v1", "ReplicaSet", tooOld},
		"no owner":                             {kcm, nil, aged, "", "", "", tooOld},
		"missing owner":                        {kcm, nil, aged, "gone", "apps/v1", "ReplicaSet", tooOld},
		"owner with other UID":                 {kcm, nil, aged, "replicaset/other-uid", "apps/v1", "ReplicaSet", tooOld},
		"owner being deleted":                  {kcm, nil, aged, "leaving", "apps/v1", "ReplicaSet", tooOld},
		"owner of other kind":                  {kcm, nil, aged, "replicaset", "example.com/v1", "ReplicaSet", tooOld},
		"owner with other digest":              {kcm, nil, otherAged, "replicaset", "apps/v1", "ReplicaSet", tooOld},
		"recalled":                             {kcm, nil, recalled, "replicaset-recalled", "apps/v1", "ReplicaSet", []gate.Code{gate.Recalled}},
		"unproven, owner older than Gate":      {kcm, nil, unproven, "replicaset-unproven", "apps/v1", "ReplicaSet", []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			object := test.object
			if object == nil {
				object = webhooktest.NewPod(namespace, "", test.image)
			}
			object.SetName("")
			object.SetGenerateName("made-")
			switch owner := owners[test.owner]; {
			case owner != nil:
				webhooktest.SetOwner(object, owner, test.apiVersion, test.kind)
			case test.owner != "":
				absent := webhooktest.NewReplicaSet(namespace, aged)
				absent.SetName(strings.TrimSuffix(test.owner, "/other-uid"))
				absent.SetUID("0f0f0f0f-0000-0000-0000-000000000000")
				webhooktest.SetOwner(object, absent, test.apiVersion, test.kind)
			}
			webhooktest.WantCodes(t, env.Impersonate(t, test.user, nil).Create(t.Context(), object), test.want...)
		})
	}

	t.Run("added sidecar is new", func(t *testing.T) {
		pod := webhooktest.NewPod(namespace, "", aged)
		pod.GenerateName = "made-"
		webhooktest.SetOwner(pod, owners["replicaset"], "apps/v1", "ReplicaSet")
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Image: env.Host + "/sidecar/proxy@" + workload.DigestOf(otherAged)})
		webhooktest.WantCodes(t, env.Impersonate(t, kcm, nil).Create(t.Context(), pod))

		pod = webhooktest.NewPod(namespace, "", aged)
		pod.GenerateName = "made-"
		webhooktest.SetOwner(pod, owners["replicaset"], "apps/v1", "ReplicaSet")
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Image: otherAged})
		status := webhooktest.WantCodes(t, env.Impersonate(t, kcm, nil).Create(t.Context(), pod), gate.SoakTooOld)
		if field := status.Details.Causes[0].Field; field != "spec.containers[1].image" {
			t.Errorf("the denied field is %q, want the sidecar", field)
		}
	})
}

// TestPodChart checks that the chart's digest of a pod comes from its owners: ReplicaSet and
// Deployment, Job and CronJob.
func TestPodChart(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	chart := webhooktest.Digest('c')
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	soak := webhooktest.NewSoak(image, 25*60*60*1e9, 60*60*1e9)
	soak.Chart.Digest = chart
	env.Attest(t, image, "observer", gate.PredicateSoak, soak)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Soak.Chart = v1alpha1.ChartSame
	env.createGate(t, g)
	kcm := env.Impersonate(t, "system:kube-controller-manager", nil)

	deployment := webhooktest.NewDeployment(namespace, image)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment), gate.OtherChart)
	deployment = webhooktest.NewDeployment(namespace, image)
	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment))

	replicaSet := webhooktest.NewReplicaSet(namespace, image)
	webhooktest.SetOwner(replicaSet, deployment, "apps/v1", "Deployment")
	webhooktest.WantCodes(t, kcm.Create(t.Context(), replicaSet))

	pod := webhooktest.NewPod(namespace, "web", image)
	webhooktest.SetOwner(pod, replicaSet, "apps/v1", "ReplicaSet")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod.DeepCopy()), gate.OtherChart) // no owner counts for a person's pod
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
	webhooktest.WantCodes(t, kcm.Create(t.Context(), pod))
	pod.Spec.SchedulingGates = nil
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), pod)) // its digests run already

	cronJob := webhooktest.NewCronJob(namespace, image)
	cronJob.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), cronJob))
	job := webhooktest.NewJob(namespace, image)
	webhooktest.SetOwner(job, cronJob, "batch/v1", "CronJob")
	webhooktest.WantCodes(t, kcm.Create(t.Context(), job))
	jobPod := webhooktest.NewPod(namespace, "job", image)
	webhooktest.SetOwner(jobPod, job, "batch/v1", "Job")
	webhooktest.WantCodes(t, kcm.Create(t.Context(), jobPod))

	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: webhooktest.Digest('d')}
	webhooktest.WantCodes(t, env.Client.Update(t.Context(), deployment), gate.OtherChart)
}

// TestSoakedTemplate checks that a Gate can require the pod template that soaked, with the
// defaults of the API server, and that pods have their owner's template.
func TestSoakedTemplate(t *testing.T) {
	env := startedEnv(t)
	staging, namespace := env.NewNamespace(t), env.NewNamespace(t)
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	if err := env.Impersonate(t, webhooktest.Bypass, nil).Create(t.Context(), webhooktest.NewDeployment(staging, image)); err != nil {
		t.Fatal(err)
	}
	soaked := &unstructured.Unstructured{}
	soaked.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: staging, Name: "web"}, soaked); err != nil {
		t.Fatal(err)
	}
	template, _, err := unstructured.NestedMap(soaked.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	soak := webhooktest.NewSoak(image, 25*time.Hour, time.Hour)
	soak.Workloads = []gate.Workload{{Kind: "Deployment", Name: "web", TemplateDigest: podtemplate.Digest(template)}}
	env.Attest(t, image, "observer", gate.PredicateSoak, soak)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
	env.createGate(t, g)

	always := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	for name, change := range map[string]func(*corev1.Container){
		"arguments":   func(c *corev1.Container) { c.Args = []string{"--debug"} },
		"command":     func(c *corev1.Container) { c.Command = []string{"sleep", "inf"} },
		"environment": func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "MODE", Value: "idle"}} },
		"probe":       func(c *corev1.Container) { c.ReadinessProbe = always },
	} {
		t.Run("other "+name, func(t *testing.T) {
			changed := webhooktest.NewDeployment(namespace, image)
			change(&changed.Spec.Template.Spec.Containers[0])
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), changed), gate.OtherTemplate)
		})
	}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)), gate.OtherTemplate)

	deployment := webhooktest.NewDeployment(namespace, image)
	deployment.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "prod"} // each environment's own
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), deployment))
	kcm := env.Impersonate(t, "system:kube-controller-manager", nil)
	replicaSet := webhooktest.NewReplicaSet(namespace, image)
	replicaSet.Spec.Template = *deployment.Spec.Template.DeepCopy()
	replicaSet.Spec.Template.Labels["pod-template-hash"] = "abc"
	replicaSet.Spec.Selector.MatchLabels = replicaSet.Spec.Template.Labels
	webhooktest.SetOwner(replicaSet, deployment, "apps/v1", "Deployment")
	webhooktest.WantCodes(t, kcm.Create(t.Context(), replicaSet))
	pod := webhooktest.NewPod(namespace, "web", image)
	webhooktest.SetOwner(pod, replicaSet, "apps/v1", "ReplicaSet")
	webhooktest.WantCodes(t, kcm.Create(t.Context(), pod))
}
