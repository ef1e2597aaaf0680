package webhook

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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

// TestStatefulSetRevision checks that pods of a StatefulSet's current revision are no new
// deploy, and that pods of other revisions are.
func TestStatefulSetRevision(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	aged, replaced, newest := env.PushAged(t), env.PushAged(t), env.PushProven(t)
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	create := func(object client.Object) {
		t.Helper()
		if err := before.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	set, other := webhooktest.NewStatefulSet(namespace, newest), webhooktest.NewStatefulSet(namespace, newest)
	other.Name = "other"
	create(set)
	create(other)
	revision := func(name, image string, owner client.Object, number int64) {
		template, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
			"$patch": "replace", "metadata": webhooktest.PodTemplate(image).ObjectMeta, "spec": webhooktest.PodTemplate(image).Spec,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: runtime.RawExtension{Raw: template}, Revision: number}
		webhooktest.SetOwner(r, owner, "apps/v1", "StatefulSet")
		create(r)
	}
	revision("web-1", replaced, set, 1)
	revision("web-2", aged, set, 2)
	revision("web-3", newest, set, 3)
	revision("other-1", aged, other, 1)
	status := func(current, update string) {
		t.Helper()
		set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.Replicas = current, update, 0
		if err := before.Status().Update(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	env.createGate(t, env.ProdGate(namespace))

	tooOld := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user, current, label, image string
		want                        []gate.Code
	}{
		"current revision":                   {"system:kube-controller-manager", "web-2", "web-2", aged, nil},
		"other image":                        {"system:kube-controller-manager", "web-2", "web-2", replaced, tooOld},
		"replaced revision":                  {"system:kube-controller-manager", "web-2", "web-1", replaced, tooOld},
		"no revision":                        {"system:kube-controller-manager", "web-2", "", aged, tooOld},
		"person":                             {"ana", "web-2", "web-2", aged, tooOld},
		"after the rollout":                  {"system:kube-controller-manager", "web-3", "web-2", aged, tooOld},
		"revision of other StatefulSet":      {"system:kube-controller-manager", "other-1", "other-1", aged, tooOld},
		"missing revision":                   {"system:kube-controller-manager", "web-0", "web-0", aged, tooOld},
		"newest revision during the rollout": {"system:kube-controller-manager", "web-2", "web-3", newest, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status(test.current, "web-3")
			pod := webhooktest.NewPod(namespace, "", test.image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			webhooktest.SetOwner(pod, set, "apps/v1", "StatefulSet")
			webhooktest.WantCodes(t, env.Impersonate(t, test.user, nil).Create(t.Context(), pod), test.want...)
		})
	}
}

// TestStatefulSetRevisionTemplate checks that under template: Same a StatefulSet's pod has the
// template of its revision, and none if that isn't known. Nothing judges ControllerRevisions.
func TestStatefulSetRevisionTemplate(t *testing.T) {
	env := startedEnv(t)
	staging, namespace := env.NewNamespace(t), env.NewNamespace(t)
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	create := func(object client.Object) {
		t.Helper()
		if err := before.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	templateOf := func(set client.Object) map[string]any {
		t.Helper()
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(set), live); err != nil {
			t.Fatal(err)
		}
		template, _, err := unstructured.NestedMap(live.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	soaked, older := webhooktest.NewStatefulSet(staging, image), webhooktest.NewStatefulSet(staging, image)
	older.Name, older.Spec.Template.Spec.Containers[0].Args = "older", []string{"--old"}
	set := webhooktest.NewStatefulSet(namespace, image)
	create(soaked)
	create(older)
	create(set)
	soak := webhooktest.NewSoak(image, 25*time.Hour, time.Hour)
	soak.Workloads = []gate.Workload{{TemplateDigest: podtemplate.Digest(templateOf(soaked))}, {TemplateDigest: podtemplate.Digest(templateOf(older))}}
	env.Attest(t, image, "observer", gate.PredicateSoak, soak)

	revision := func(name string, owner client.Object, patch string, change func(template map[string]any)) {
		template := templateOf(older)
		template["$patch"] = patch
		if change != nil {
			change(template)
		}
		data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: runtime.RawExtension{Raw: data}, Revision: 1}
		if owner != nil {
			webhooktest.SetOwner(r, owner, "apps/v1", "StatefulSet")
		}
		create(r)
	}
	other := func(template map[string]any) {
		spec, _ := template["spec"].(map[string]any)
		spec["hostNetwork"] = true
	}
	revision("web-old", set, "replace", nil)
	revision("web-new", set, "replace", func(template map[string]any) {
		clear(template)
		maps.Copy(template, templateOf(set))
		template["$patch"] = "replace"
	})
	revision("web-evil", set, "replace", other)
	revision("web-orphan", nil, "replace", other)
	revision("web-mixture", set, "merge", nil)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
	env.createGate(t, g)

	denied := []gate.Code{gate.OtherTemplate}
	for name, test := range map[string]struct {
		current, label string
		want           []gate.Code
	}{
		"newest, no status yet": {"", "web-new", nil},
		"newest":                {"web-old", "web-new", nil},
		"older and soaked":      {"web-old", "web-old", nil},
		"not soaked":            {"web-evil", "web-evil", denied},
		"no controller":         {"web-orphan", "web-orphan", denied},
		"missing revision":      {"web-gone", "web-gone", denied},
		"merge patch":           {"web-mixture", "web-mixture", denied},
		"not in the status":     {"web-old", "web-evil", denied},
		"no label":              {"web-old", "", denied},
	} {
		t.Run(name, func(t *testing.T) {
			set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.Replicas = test.current, "", 0
			if test.current != "" {
				set.Status.UpdateRevision = "web-new"
			}
			if err := before.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			pod := webhooktest.NewPod(namespace, "", image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			webhooktest.SetOwner(pod, set, "apps/v1", "StatefulSet")
			webhooktest.WantCodes(t, env.Impersonate(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), test.want...)
		})
	}
}
