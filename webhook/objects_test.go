package webhook

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func newPod(namespace, podName, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: podName},
		Spec:       podSpec(image),
	}
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}
}

func podTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       podSpec(image),
	}
}

func jobTemplate(image string) corev1.PodTemplateSpec {
	template := podTemplate(image)
	template.Labels = nil
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return template
}

func newDeployment(namespace, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.DeploymentSpec{Selector: selector(), Template: podTemplate(image)},
	}
}

func newReplicaSet(namespace, image string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.ReplicaSetSpec{Selector: selector(), Template: podTemplate(image)},
	}
}

func newStatefulSet(namespace, image string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.StatefulSetSpec{Selector: selector(), Template: podTemplate(image)},
	}
}

func newDaemonSet(namespace, image string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.DaemonSetSpec{Selector: selector(), Template: podTemplate(image)},
	}
}

func newReplicationController(namespace, image string) *corev1.ReplicationController {
	template := podTemplate(image)
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       corev1.ReplicationControllerSpec{Selector: map[string]string{"app": "web"}, Template: &template},
	}
}

func newPodTemplate(namespace, image string) *corev1.PodTemplate {
	return &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Template:   podTemplate(image),
	}
}

func newJob(namespace, image string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       batchv1.JobSpec{Template: jobTemplate(image)},
	}
}

func newCronJob(namespace, image string) *batchv1.CronJob {
	return &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec: batchv1.CronJobSpec{
			Schedule:    "* * * * *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: jobTemplate(image)}},
		},
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
}

// starter is an object of a kind that starts pods, with the place of its image.
type starter struct {
	object client.Object
	field  string
}

// workloads are one of each kind.
func workloads(namespace, image string) map[string]starter {
	const inTemplate = "spec.template.spec.containers[0].image"
	return map[string]starter{
		"Pod":                   {newPod(namespace, "web", image), "spec.containers[0].image"},
		"PodTemplate":           {newPodTemplate(namespace, image), "template.spec.containers[0].image"},
		"ReplicationController": {newReplicationController(namespace, image), inTemplate},
		"Deployment":            {newDeployment(namespace, image), inTemplate},
		"ReplicaSet":            {newReplicaSet(namespace, image), inTemplate},
		"StatefulSet":           {newStatefulSet(namespace, image), inTemplate},
		"DaemonSet":             {newDaemonSet(namespace, image), inTemplate},
		"Job":                   {newJob(namespace, image), inTemplate},
		"CronJob":               {newCronJob(namespace, image), "spec.jobTemplate.spec.template.spec.containers[0].image"},
	}
}

// ownedBy makes the owner the object's controller.
func ownedBy(object, owner client.Object, apiVersion, kind string) {
	controller := true
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: &controller,
	}})
}
