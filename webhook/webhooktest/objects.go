package webhooktest

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// NewPod returns a Pod whose only container runs an image.
func NewPod(namespace, podName, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: podName},
		Spec:       podSpec(image),
	}
}

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}
}

// PodTemplate returns a pod template whose only container runs an image.
func PodTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       podSpec(image),
	}
}

func jobTemplate(image string) corev1.PodTemplateSpec {
	template := PodTemplate(image)
	template.Labels = nil
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return template
}

// NewDeployment returns a Deployment whose only container runs an image.
func NewDeployment(namespace, image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.DeploymentSpec{Selector: selector(), Template: PodTemplate(image)},
	}
}

// NewReplicaSet returns a ReplicaSet whose only container runs an image.
func NewReplicaSet(namespace, image string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.ReplicaSetSpec{Selector: selector(), Template: PodTemplate(image)},
	}
}

// NewStatefulSet returns a StatefulSet whose only container runs an image.
func NewStatefulSet(namespace, image string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.StatefulSetSpec{Selector: selector(), Template: PodTemplate(image)},
	}
}

// NewDaemonSet returns a DaemonSet whose only container runs an image.
func NewDaemonSet(namespace, image string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       appsv1.DaemonSetSpec{Selector: selector(), Template: PodTemplate(image)},
	}
}

// NewReplicationController returns a ReplicationController whose only container runs an image.
func NewReplicationController(namespace, image string) *corev1.ReplicationController {
	template := PodTemplate(image)
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       corev1.ReplicationControllerSpec{Selector: map[string]string{"app": "web"}, Template: &template},
	}
}

// NewPodTemplate returns a PodTemplate whose only container runs an image.
func NewPodTemplate(namespace, image string) *corev1.PodTemplate {
	return &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Template:   PodTemplate(image),
	}
}

// NewJob returns a Job whose only container runs an image.
func NewJob(namespace, image string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec:       batchv1.JobSpec{Template: jobTemplate(image)},
	}
}

// NewCronJob returns a CronJob whose only container runs an image.
func NewCronJob(namespace, image string) *batchv1.CronJob {
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

// Workload is an object of a kind that starts pods.
type Workload struct {
	Object client.Object
	// Field that names its image.
	Field string
}

// Workloads returns an object of each kind that starts pods, by kind.
func Workloads(namespace, image string) map[string]Workload {
	const inTemplate = "spec.template.spec.containers[0].image"
	return map[string]Workload{
		"Pod":                   {NewPod(namespace, "web", image), "spec.containers[0].image"},
		"PodTemplate":           {NewPodTemplate(namespace, image), "template.spec.containers[0].image"},
		"ReplicationController": {NewReplicationController(namespace, image), inTemplate},
		"Deployment":            {NewDeployment(namespace, image), inTemplate},
		"ReplicaSet":            {NewReplicaSet(namespace, image), inTemplate},
		"StatefulSet":           {NewStatefulSet(namespace, image), inTemplate},
		"DaemonSet":             {NewDaemonSet(namespace, image), inTemplate},
		"Job":                   {NewJob(namespace, image), inTemplate},
		"CronJob":               {NewCronJob(namespace, image), "spec.jobTemplate.spec.template.spec.containers[0].image"},
	}
}

// SetOwner makes the owner the object's controller.
func SetOwner(object, owner client.Object, apiVersion, kind string) {
	controller := true
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: &controller,
	}})
}
