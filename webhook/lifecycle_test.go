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
)

// TestUpdate takes a Deployment that was there before its Gate, and whose digest shows
// nothing, through what may and may not be done to it.
func TestUpdateOfWhatIsUnproven(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	unproven, another := b.push(t, "shop/web"), b.push(t, "shop/web")
	deployment := newDeployment(namespace, unproven)
	deployment.Spec.Replicas = new(int32(3))
	deployment.Finalizers = []string{"example.com/first", "example.com/second"}
	if err := b.as(t, unseen, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))
	all := []gate.Code{gate.NoSignature, gate.NoSoak}

	update := func(t *testing.T, change func(*appsv1.Deployment), want ...gate.Code) {
		t.Helper()
		changed := deployment.DeepCopy()
		change(changed)
		err := b.client.Update(t.Context(), changed)
		wantCodes(t, err, want...)
		if err == nil {
			deployment = changed
		}
	}
	steps := []struct {
		name   string
		change func(*appsv1.Deployment)
		want   []gate.Code
	}{
		{"a label passes", func(d *appsv1.Deployment) { d.Labels = map[string]string{"team": "shop"} }, nil},
		{"a finalizer's removal passes", func(d *appsv1.Deployment) { d.Finalizers = d.Finalizers[:1] }, nil},
		{"a scale-down passes", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }, nil},
		{"a scale-down to unset, which is 1, passes", func(d *appsv1.Deployment) { d.Spec.Replicas = nil }, nil},
		{"a scale-up passes here: its pods are judged", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }, nil},
		{"a scale-down with another image is judged", func(d *appsv1.Deployment) {
			d.Spec.Replicas = new(int32(0))
			d.Spec.Template.Spec.Containers[0].Image = another
		}, all},
		{"a finalizer's removal with another image is judged", func(d *appsv1.Deployment) {
			d.Finalizers = nil
			d.Spec.Template.Spec.Containers[0].Image = another
		}, all},
		{"a scale-down with another template is judged", func(d *appsv1.Deployment) {
			d.Spec.Replicas = new(int32(0))
			d.Spec.Template.Labels["more"] = "x"
		}, all},
		{"a changed template is judged", func(d *appsv1.Deployment) {
			d.Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
		}, all},
		{"a changed stamp is judged", func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{v1alpha1.AnnotationLadder: "shop"}
		}, all},
		{"another annotation passes", func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{"example.com/x": "y"}
		}, nil},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) { update(t, step.change, step.want...) })
	}
	t.Run("status passes", func(t *testing.T) {
		changed := deployment.DeepCopy()
		changed.Status.Replicas = 1
		wantCodes(t, b.client.Status().Update(t.Context(), changed))
		deployment = changed
	})
	t.Run("while it is being deleted another image is judged, and a finalizer's removal passes", func(t *testing.T) {
		if err := b.client.Delete(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment); err != nil {
			t.Fatal(err)
		}
		if deployment.DeletionTimestamp == nil {
			t.Fatal("the Deployment isn't being deleted")
		}
		update(t, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = another }, all...)
		update(t, func(d *appsv1.Deployment) { d.Finalizers = nil })
	})
}

func TestUpdateOfPods(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	unproven := b.push(t, "shop/web")
	pod := newPod(namespace, "web", unproven)
	if err := b.as(t, unseen, nil).Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))

	labelled := pod.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	wantCodes(t, b.client.Update(t.Context(), labelled))

	moved := labelled.DeepCopy()
	moved.Spec.Containers[0].Image = b.push(t, "shop/web")
	wantCodes(t, b.client.Update(t.Context(), moved), gate.NoSignature, gate.NoSoak)

	moved.Spec.Containers[0].Image = b.proven(t)
	wantCodes(t, b.client.Update(t.Context(), moved))
}

func TestUpdateSkipsAgeOnlyOfWhatRuns(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, alsoAged := b.aged(t), b.aged(t)
	deployment := newDeployment(namespace, aged)
	if err := b.as(t, unseen, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))
	wantCodes(t, b.client.Create(t.Context(), newPodTemplate(namespace, aged)), gate.SoakTooOld) // it is too old to deploy

	changed := deployment.DeepCopy()
	changed.Spec.Template.Labels["more"] = "x"
	wantCodes(t, b.client.Update(t.Context(), changed))

	other := changed.DeepCopy()
	other.Spec.Template.Spec.Containers[0].Image = alsoAged
	wantCodes(t, b.client.Update(t.Context(), other), gate.SoakTooOld)

	beside := changed.DeepCopy()
	beside.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "new", Image: b.proven(t)}}
	wantCodes(t, b.client.Update(t.Context(), beside), gate.SoakTooOld)

	b.recall(t, workload.DigestOf(aged))
	restarted := changed.DeepCopy()
	restarted.Spec.Template.Annotations = map[string]string{"restartedAt": "now"}
	wantCodes(t, b.client.Update(t.Context(), restarted), gate.Recalled)
}

// TestWhatASyncMakesAnewIsNoDeployOfWhatRuns: a guard or a migration of the digest that
// is live isn't asked its age, so that a sync of anything else goes on when the proof
// has grown old.
func TestWhatASyncMakesAnewIsNoDeployOfWhatRuns(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, otherAged := b.aged(t), b.aged(t)
	before := func(o client.Object) {
		if err := b.as(t, unseen, nil).Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	before(newDeployment(namespace, aged))
	leftBehind := newReplicaSet(namespace, otherAged)
	leftBehind.Name = "old"
	before(leftBehind)
	controlled := newStatefulSet(namespace, otherAged)
	controlled.Name = "controlled"
	ownedBy(controlled, leftBehind, "apps/v1", "ReplicaSet")
	before(controlled)
	leaving := newDaemonSet(namespace, otherAged)
	leaving.Name, leaving.Finalizers = "leaving", []string{"example.com/stay"}
	before(leaving)
	if err := b.client.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	elsewhere := b.namespace(t)
	other := newDeployment(elsewhere, otherAged)
	other.Name = "elsewhere"
	before(other)
	b.gate(t, b.prodGate(namespace))

	many := strings.Repeat("Deployment/none,", v1alpha1.MaxRunningIn) + "Deployment/web"
	old := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		object client.Object
		beside string
		want   []gate.Code
	}{
		"a guard":                       {newPodTemplate(namespace, aged), "Deployment/web", nil},
		"a migration":                   {newJob(namespace, aged), "CronJob/none,Deployment/web", nil},
		"a pod":                         {newPod(namespace, "web", aged), "Deployment/web", nil},
		"a guard that doesn't say so":   {newPodTemplate(namespace, aged), "", old},
		"of a digest that doesn't run":  {newPodTemplate(namespace, otherAged), "Deployment/web", old},
		"beside what isn't there":       {newPodTemplate(namespace, aged), "Deployment/none", old},
		"beside an old ReplicaSet":      {newPodTemplate(namespace, otherAged), "ReplicaSet/old", old},
		"beside what another controls":  {newPodTemplate(namespace, otherAged), "StatefulSet/controlled", old},
		"beside what is on its way out": {newPodTemplate(namespace, otherAged), "DaemonSet/leaving", old},
		"beside another namespace's":    {newPodTemplate(namespace, otherAged), "Deployment/elsewhere", old},
		"beside more than is looked at": {newPodTemplate(namespace, aged), many, old},
		"beside nonsense":               {newPodTemplate(namespace, aged), "Deployment/,/web,,Deployment/../web,Secret/web", old},
		"a Deployment is deployed":      {newStatefulSet(namespace, aged), "Deployment/web", old},
	} {
		t.Run(name, func(t *testing.T) {
			test.object.SetName("")
			test.object.SetGenerateName("made-")
			if test.beside != "" {
				test.object.SetAnnotations(map[string]string{v1alpha1.AnnotationRunningIn: test.beside})
			}
			wantCodes(t, b.client.Create(t.Context(), test.object), test.want...)
		})
	}

	t.Run("all other proof counts", func(t *testing.T) {
		b.recall(t, workload.DigestOf(aged))
		recalled := newPodTemplate(namespace, aged)
		recalled.Annotations = map[string]string{v1alpha1.AnnotationRunningIn: "Deployment/web"}
		wantCodes(t, b.client.Create(t.Context(), recalled), gate.Recalled)
	})
}

func TestUnchangedPassesWithTheRegistryDown(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	image := "127.0.0.1:1/shop/web@sha256:" + sixtyFour('a')
	deployment := newDeployment(namespace, image)
	if err := b.as(t, unseen, nil).Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	g := b.prodGate(namespace)
	g.Spec.Images[0].Repository = "127.0.0.1:1/shop/*"
	b.gate(t, g)

	deployment.Spec.Replicas = new(int32(0))
	wantCodes(t, b.client.Update(t.Context(), deployment))
	deployment.Spec.Template.Labels["more"] = "x"
	wantCodes(t, b.client.Update(t.Context(), deployment), gate.RegistryUnavailable)
}

func sixtyFour(r rune) string {
	digits := make([]rune, 64)
	for i := range digits {
		digits[i] = r
	}
	return string(digits)
}

// TestRescheduled: what controllers make for a live owner isn't asked its age again;
// everything else is asked everything.
func TestRescheduled(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, otherAged, recalled, unproven := b.aged(t), b.aged(t), b.aged(t), b.push(t, "shop/web")

	owners := map[string]client.Object{} // by kind and image, as there before the Gate
	create := func(key string, owner client.Object) {
		owner.SetName(key)
		if err := b.as(t, unseen, nil).Create(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		owners[key] = owner
	}
	create("replicaset", newReplicaSet(namespace, aged))
	create("replicaset-recalled", newReplicaSet(namespace, recalled))
	create("replicaset-unproven", newReplicaSet(namespace, unproven))
	create("deployment", newDeployment(namespace, aged))
	create("statefulset", newStatefulSet(namespace, aged))
	create("daemonset", newDaemonSet(namespace, aged))
	create("rc", newReplicationController(namespace, aged))
	create("job", newJob(namespace, aged))
	create("cronjob", newCronJob(namespace, aged))
	leaving := newReplicaSet(namespace, aged)
	leaving.Finalizers = []string{"example.com/stay"}
	create("leaving", leaving)
	if err := b.client.Delete(t.Context(), leaving); err != nil {
		t.Fatal(err)
	}
	b.gate(t, b.prodGate(namespace))
	b.recall(t, workload.DigestOf(recalled))

	const (
		kcm     = "system:kube-controller-manager"
		service = "system:serviceaccount:kube-system:"
	)
	old := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user       string
		object     client.Object
		image      string
		owner      string
		apiVersion string
		kind       string
		want       []gate.Code
	}{
		"pod of a ReplicaSet":                      {kcm, nil, aged, "replicaset", "apps/v1", "ReplicaSet", nil},
		"pod of a ReplicaSet, own account":         {service + "replicaset-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", nil},
		"pod of a StatefulSet":                     {service + "statefulset-controller", nil, aged, "statefulset", "apps/v1", "StatefulSet", nil},
		"pod of a DaemonSet":                       {service + "daemon-set-controller", nil, aged, "daemonset", "apps/v1", "DaemonSet", nil},
		"pod of a ReplicationController":           {service + "replication-controller", nil, aged, "rc", "v1", "ReplicationController", nil},
		"pod of a Job":                             {service + "job-controller", nil, aged, "job", "batch/v1", "Job", nil},
		"ReplicaSet of a Deployment":               {service + "deployment-controller", newReplicaSet(namespace, aged), aged, "deployment", "apps/v1", "Deployment", nil},
		"Job of a CronJob":                         {service + "cronjob-controller", newJob(namespace, aged), aged, "cronjob", "batch/v1", "CronJob", nil},
		"another kind's controller":                {service + "job-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", old},
		"no controller of workloads":               {service + "generic-garbage-collector", nil, aged, "replicaset", "apps/v1", "ReplicaSet", old},
		"a namesake in another namespace":          {"system:serviceaccount:shop:replicaset-controller", nil, aged, "replicaset", "apps/v1", "ReplicaSet", old},
		"a person":                                 {"ana", nil, aged, "replicaset", "apps/v1", "ReplicaSet", old},
		"no owner":                                 {kcm, nil, aged, "", "", "", old},
		"an owner that isn't there":                {kcm, nil, aged, "gone", "apps/v1", "ReplicaSet", old},
		"an owner of the same name, another UID":   {kcm, nil, aged, "replicaset/other-uid", "apps/v1", "ReplicaSet", old},
		"an owner on its way out":                  {kcm, nil, aged, "leaving", "apps/v1", "ReplicaSet", old},
		"an owner of another kind":                 {kcm, nil, aged, "replicaset", "example.com/v1", "ReplicaSet", old},
		"an owner with another digest":             {kcm, nil, otherAged, "replicaset", "apps/v1", "ReplicaSet", old},
		"recalled":                                 {kcm, nil, recalled, "replicaset-recalled", "apps/v1", "ReplicaSet", []gate.Code{gate.Recalled}},
		"unproven, of an owner from before a Gate": {kcm, nil, unproven, "replicaset-unproven", "apps/v1", "ReplicaSet", []gate.Code{gate.NoSignature, gate.NoSoak}},
	} {
		t.Run(name, func(t *testing.T) {
			object := test.object
			if object == nil {
				object = newPod(namespace, "", test.image)
			}
			object.SetName("")
			object.SetGenerateName("made-")
			switch owner := owners[test.owner]; {
			case owner != nil:
				ownedBy(object, owner, test.apiVersion, test.kind)
			case test.owner != "":
				absent := newReplicaSet(namespace, aged)
				absent.SetName(trimSuffix(test.owner, "/other-uid"))
				absent.SetUID("0f0f0f0f-0000-0000-0000-000000000000")
				ownedBy(object, absent, test.apiVersion, test.kind)
			}
			wantCodes(t, b.as(t, test.user, nil).Create(t.Context(), object), test.want...)
		})
	}

	t.Run("a sidecar that was added on the way is new, what the owner runs isn't", func(t *testing.T) {
		pod := newPod(namespace, "", aged)
		pod.GenerateName = "made-"
		ownedBy(pod, owners["replicaset"], "apps/v1", "ReplicaSet")
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Image: b.registry + "/sidecar/proxy@" + workload.DigestOf(otherAged)})
		wantCodes(t, b.as(t, kcm, nil).Create(t.Context(), pod))

		pod = newPod(namespace, "", aged)
		pod.GenerateName = "made-"
		ownedBy(pod, owners["replicaset"], "apps/v1", "ReplicaSet")
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Image: otherAged})
		status := wantCodes(t, b.as(t, kcm, nil).Create(t.Context(), pod), gate.SoakTooOld)
		if field := status.Details.Causes[0].Field; field != "spec.containers[1].image" {
			t.Errorf("denied is %q, want the sidecar", field)
		}
	})
}

// TestPodsOfAnOlderRevision: a StatefulSet with a partition goes on to make pods of the
// revision before, and of no other.
func TestPodsOfAnOlderRevision(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	aged, leftBehind, newest := b.aged(t), b.aged(t), b.proven(t)
	before := b.as(t, unseen, nil)
	create := func(object client.Object) {
		t.Helper()
		if err := before.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	set, other := newStatefulSet(namespace, newest), newStatefulSet(namespace, newest)
	other.Name = "other"
	create(set)
	create(other)
	revision := func(name, image string, owner client.Object, number int64) {
		template, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{
			"$patch": "replace", "metadata": podTemplate(image).ObjectMeta, "spec": podTemplate(image).Spec,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: runtime.RawExtension{Raw: template}, Revision: number}
		ownedBy(r, owner, "apps/v1", "StatefulSet")
		create(r)
	}
	revision("web-1", leftBehind, set, 1)
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
	b.gate(t, b.prodGate(namespace))

	old := []gate.Code{gate.SoakTooOld}
	for name, test := range map[string]struct {
		user, current, label, image string
		want                        []gate.Code
	}{
		"the current revision":                  {"system:kube-controller-manager", "web-2", "web-2", aged, nil},
		"another image":                         {"system:kube-controller-manager", "web-2", "web-2", leftBehind, old},
		"a revision that was left behind":       {"system:kube-controller-manager", "web-2", "web-1", leftBehind, old},
		"no revision":                           {"system:kube-controller-manager", "web-2", "", aged, old},
		"a person":                              {"ana", "web-2", "web-2", aged, old},
		"when the rollout is through":           {"system:kube-controller-manager", "web-3", "web-2", aged, old},
		"another StatefulSet's":                 {"system:kube-controller-manager", "other-1", "other-1", aged, old},
		"one that isn't there":                  {"system:kube-controller-manager", "web-0", "web-0", aged, old},
		"the newest, in the midst of a rollout": {"system:kube-controller-manager", "web-2", "web-3", newest, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status(test.current, "web-3")
			pod := newPod(namespace, "", test.image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			ownedBy(pod, set, "apps/v1", "StatefulSet")
			wantCodes(t, b.as(t, test.user, nil).Create(t.Context(), pod), test.want...)
		})
	}
}

// TestTheTemplateOfARevision: under template: Same a StatefulSet's pod has the template of
// its revision, and none where that isn't known. Nothing judges ControllerRevisions.
func TestTheTemplateOfARevision(t *testing.T) {
	b := up(t)
	staging, namespace := b.namespace(t), b.namespace(t)
	image := b.push(t, "shop/web")
	b.sign(t, image, "ci")
	before := b.as(t, unseen, nil)
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
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(set), live); err != nil {
			t.Fatal(err)
		}
		template, _, err := unstructured.NestedMap(live.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	soaked, older := newStatefulSet(staging, image), newStatefulSet(staging, image)
	older.Name, older.Spec.Template.Spec.Containers[0].Args = "older", []string{"--old"}
	set := newStatefulSet(namespace, image)
	create(soaked)
	create(older)
	create(set)
	soak := soakOf(image, 25*time.Hour, time.Hour)
	soak.Workloads = []gate.Workload{{TemplateDigest: podtemplate.Digest(templateOf(soaked))}, {TemplateDigest: podtemplate.Digest(templateOf(older))}}
	b.attest(t, image, "observer", gate.PredicateSoak, soak)

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
			ownedBy(r, owner, "apps/v1", "StatefulSet")
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
	g := b.prodGate(namespace)
	g.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
	b.gate(t, g)

	denied := []gate.Code{gate.OtherTemplate}
	for name, test := range map[string]struct {
		current, label string
		want           []gate.Code
	}{
		"the newest, and no status yet":     {"", "web-new", nil},
		"the newest":                        {"web-old", "web-new", nil},
		"an older one that soaked":          {"web-old", "web-old", nil},
		"one that didn't soak":              {"web-evil", "web-evil", denied},
		"one without a controller":          {"web-orphan", "web-orphan", denied},
		"one that isn't there":              {"web-gone", "web-gone", denied},
		"one that is mixed with the newest": {"web-mixture", "web-mixture", denied},
		"one that the status doesn't name":  {"web-old", "web-evil", denied},
		"none":                              {"web-old", "", denied},
	} {
		t.Run(name, func(t *testing.T) {
			set.Status.CurrentRevision, set.Status.UpdateRevision, set.Status.Replicas = test.current, "", 0
			if test.current != "" {
				set.Status.UpdateRevision = "web-new"
			}
			if err := before.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			pod := newPod(namespace, "", image)
			pod.GenerateName = "made-"
			if test.label != "" {
				pod.Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: test.label}
			}
			ownedBy(pod, set, "apps/v1", "StatefulSet")
			wantCodes(t, b.as(t, "system:kube-controller-manager", nil).Create(t.Context(), pod), test.want...)
		})
	}
}

func trimSuffix(text, suffix string) string {
	if len(text) >= len(suffix) && text[len(text)-len(suffix):] == suffix {
		return text[:len(text)-len(suffix)]
	}
	return text
}

// TestChartOfAPod: pods don't carry the chart's digest, so their owners' stamp counts,
// as far up as ReplicaSet and Deployment, Job and CronJob.
func TestChartOfAPod(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	chart := "sha256:" + sixtyFour('c')
	image := b.push(t, "shop/web")
	b.sign(t, image, "ci")
	soak := soakOf(image, 25*60*60*1e9, 60*60*1e9)
	soak.Chart.Digest = chart
	b.attest(t, image, "observer", gate.PredicateSoak, soak)
	g := b.prodGate(namespace)
	g.Spec.Requires.Soak.Chart = v1alpha1.ChartSame
	b.gate(t, g)
	kcm := b.as(t, "system:kube-controller-manager", nil)

	deployment := newDeployment(namespace, image)
	wantCodes(t, b.client.Create(t.Context(), deployment), gate.OtherChart)
	deployment = newDeployment(namespace, image)
	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	wantCodes(t, b.client.Create(t.Context(), deployment))

	replicaSet := newReplicaSet(namespace, image)
	ownedBy(replicaSet, deployment, "apps/v1", "Deployment")
	wantCodes(t, kcm.Create(t.Context(), replicaSet))

	pod := newPod(namespace, "web", image)
	ownedBy(pod, replicaSet, "apps/v1", "ReplicaSet")
	wantCodes(t, b.client.Create(t.Context(), pod.DeepCopy()), gate.OtherChart) // a person's pod has no owner's word
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
	wantCodes(t, kcm.Create(t.Context(), pod))
	pod.Spec.SchedulingGates = nil
	wantCodes(t, b.client.Update(t.Context(), pod)) // its digests run there already

	cronJob := newCronJob(namespace, image)
	cronJob.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: chart}
	wantCodes(t, b.client.Create(t.Context(), cronJob))
	job := newJob(namespace, image)
	ownedBy(job, cronJob, "batch/v1", "CronJob")
	wantCodes(t, kcm.Create(t.Context(), job))
	jobPod := newPod(namespace, "job", image)
	ownedBy(jobPod, job, "batch/v1", "Job")
	wantCodes(t, kcm.Create(t.Context(), jobPod))

	deployment.Annotations = map[string]string{v1alpha1.AnnotationChartDigest: "sha256:" + sixtyFour('d')}
	wantCodes(t, b.client.Update(t.Context(), deployment), gate.OtherChart)
}

// TestTheTemplateThatSoaked: a Gate may ask for the very pod template that an observer saw,
// as the API server completed it there; its pods are known by their owner's.
func TestTheTemplateThatSoaked(t *testing.T) {
	b := up(t)
	staging, namespace := b.namespace(t), b.namespace(t)
	image := b.push(t, "shop/web")
	b.sign(t, image, "ci")
	if err := b.as(t, unseen, nil).Create(t.Context(), newDeployment(staging, image)); err != nil {
		t.Fatal(err)
	}
	soaked := &unstructured.Unstructured{}
	soaked.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: staging, Name: "web"}, soaked); err != nil {
		t.Fatal(err)
	}
	template, _, err := unstructured.NestedMap(soaked.Object, "spec", "template")
	if err != nil {
		t.Fatal(err)
	}
	soak := soakOf(image, 25*time.Hour, time.Hour)
	soak.Workloads = []gate.Workload{{Kind: "Deployment", Name: "web", TemplateDigest: podtemplate.Digest(template)}}
	b.attest(t, image, "observer", gate.PredicateSoak, soak)
	g := b.prodGate(namespace)
	g.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
	b.gate(t, g)

	always := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	for what, change := range map[string]func(*corev1.Container){
		"arguments":     func(c *corev1.Container) { c.Args = []string{"--debug"} },
		"command":       func(c *corev1.Container) { c.Command = []string{"sleep", "inf"} },
		"environment":   func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "MODE", Value: "idle"}} },
		"another probe": func(c *corev1.Container) { c.ReadinessProbe = always },
	} {
		t.Run("another pod template: "+what, func(t *testing.T) {
			changed := newDeployment(namespace, image)
			change(&changed.Spec.Template.Spec.Containers[0])
			wantCodes(t, b.client.Create(t.Context(), changed), gate.OtherTemplate)
		})
	}
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "web", image)), gate.OtherTemplate)

	deployment := newDeployment(namespace, image)
	deployment.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "prod"} // each environment's own
	wantCodes(t, b.client.Create(t.Context(), deployment))
	kcm := b.as(t, "system:kube-controller-manager", nil)
	replicaSet := newReplicaSet(namespace, image)
	replicaSet.Spec.Template = *deployment.Spec.Template.DeepCopy()
	replicaSet.Spec.Template.Labels["pod-template-hash"] = "abc"
	replicaSet.Spec.Selector.MatchLabels = replicaSet.Spec.Template.Labels
	ownedBy(replicaSet, deployment, "apps/v1", "Deployment")
	wantCodes(t, kcm.Create(t.Context(), replicaSet))
	pod := newPod(namespace, "web", image)
	ownedBy(pod, replicaSet, "apps/v1", "ReplicaSet")
	wantCodes(t, kcm.Create(t.Context(), pod))
}
