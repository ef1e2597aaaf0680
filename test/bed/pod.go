package bed

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// ChangePodStatus changes a pod's status as its node would. KWOK doesn't change the status of a
// running pod, so the change persists.
func (c *Cluster) ChangePodStatus(ctx context.Context, namespace, name string, change func(*corev1.PodStatus)) error {
	pods := c.typed.CoreV1().Pods(namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&pod.Status)
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("changing the status of pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// SetPodReady sets whether a running pod is ready, as its readiness probe would.
func (c *Cluster) SetPodReady(ctx context.Context, namespace, name string, ready bool) error {
	return c.ChangePodStatus(ctx, namespace, name, func(status *corev1.PodStatus) {
		value, reason := corev1.ConditionTrue, ""
		if !ready {
			value, reason = corev1.ConditionFalse, "ContainersNotReady"
		}
		for i := range status.Conditions {
			condition := &status.Conditions[i]
			if condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
				condition.Status, condition.Reason = value, reason
				condition.LastTransitionTime = metav1.Now()
			}
		}
		for i := range status.ContainerStatuses {
			status.ContainerStatuses[i].Ready = ready
		}
	})
}

// RestartContainer changes the status of a running pod's container as if it had crashed and
// been restarted.
func (c *Cluster) RestartContainer(ctx context.Context, namespace, pod, container string) error {
	found := false
	err := c.ChangePodStatus(ctx, namespace, pod, func(status *corev1.PodStatus) {
		for i := range status.ContainerStatuses {
			if status.ContainerStatuses[i].Name == container {
				found = true
				restart(&status.ContainerStatuses[i])
			}
		}
	})
	if err == nil && !found {
		return fmt.Errorf("restarting container %q of pod %s/%s: not running", container, namespace, pod)
	}
	return err
}

// restart changes a status to that of a restarted container.
func restart(status *corev1.ContainerStatus) {
	now := metav1.NewTime(time.Now())
	ended := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: now}
	if status.State.Running != nil {
		ended.StartedAt = status.State.Running.StartedAt
	}
	status.LastTerminationState = corev1.ContainerState{Terminated: ended}
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	status.RestartCount++
}
