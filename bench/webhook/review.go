package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// caller posts AdmissionReviews as an API server does: over TLS and HTTP/1.1, on persistent
// connections.
type caller struct {
	url, namespace string
	ca             []byte
	http           *http.Client
}

func newCaller(address, path, namespace string, ca []byte) caller {
	return caller{url: "https://" + address + path, namespace: namespace, ca: ca, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: tlsConfig(ca), MaxIdleConnsPerHost: 1024},
	}}
}

// deniedError is the message of a denial.
type deniedError string

func (e deniedError) Error() string { return "denied: " + string(e) }

// admit posts a review, and returns a deniedError if it is denied.
func (c *caller) admit(ctx context.Context, review []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"?timeout=25s", bytes.NewReader(review))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &answer); err != nil || answer.Response == nil {
		return fmt.Errorf("%s: %s: %s", c.url, response.Status, body)
	}
	if !answer.Response.Allowed {
		return deniedError(answer.Response.Result.Message)
	}
	return nil
}

// podOf returns a pod like those of common charts, with this image in each of its containers.
func podOf(namespace string, containers int, image string) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "web-5d4f8c7b9-", Namespace: namespace,
			Labels: map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "web", "pod-template-hash": "5d4f8c7b9"},
		},
	}
	for n := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{
			Name: "web-" + strconv.Itoa(n), Image: image,
			Env:   []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "DATABASE_HOST", Value: "db.example.com"}},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		})
	}
	return pod
}

// reviewOf returns the review of a pod that a person creates.
func reviewOf(namespace string, containers int, image string) []byte {
	return encode(podOf(namespace, containers, image), "ana@example.com", false)
}

// ownedReviewOf returns the review of a pod that a controller creates for its ReplicaSet.
func ownedReviewOf(namespace, image string, owner metav1.OwnerReference) []byte {
	pod := podOf(namespace, 1, image)
	pod.OwnerReferences = []metav1.OwnerReference{owner}
	return encode(pod, "system:serviceaccount:kube-system:replicaset-controller", false)
}

// dryRunReviewOf returns reviewOf as a dry run, after which nothing is cached in the cluster.
func dryRunReviewOf(namespace, image string) []byte {
	return encode(podOf(namespace, 1, image), "ana@example.com", true)
}

// encode returns the AdmissionReview of a pod that a user creates.
func encode(pod *corev1.Pod, user string, dryRun bool) []byte {
	object := must(json.Marshal(pod))
	kind, resource := metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, metav1.GroupVersionResource{Version: "v1", Resource: "pods"}
	return must(json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:  types.UID("705ab4f5-6393-11e8-b7cc-42010a800002"),
			Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Namespace: pod.Namespace, Operation: admissionv1.Create,
			UserInfo: authenticationv1.UserInfo{Username: user, Groups: []string{"system:authenticated"}},
			Object:   runtime.RawExtension{Raw: object}, DryRun: &dryRun,
		},
	}))
}

// must returns the result of an encoding that can't fail, since it encodes plain values.
func must(encoded []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return encoded
}
