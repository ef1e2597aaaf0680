// Package install installs envladder's programs on a bed from their manifests: accounts, RBAC,
// and each Deployment as a local process with the flags of its manifest.
package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/test/bed"
)

// Namespace is envladder's namespace.
const Namespace = "envladder"

const webhookAccount = "envladder-webhook"

// Account applies the objects of a manifest that a local process needs, its account and RBAC,
// and returns the webhook configurations. It doesn't apply the guard's policies, since the
// bed's Argo CD deploys Gates with the same account as everything else.
func Account(ctx context.Context, cluster *bed.Cluster, root, manifest string) (registrations []*unstructured.Unstructured, err error) {
	documents, err := readDocuments(filepath.Join(root, "manifests", manifest))
	if err != nil {
		return nil, err
	}
	var account []string
	for _, d := range documents {
		switch d.GetKind() {
		case "Namespace", "Secret", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding":
			account = append(account, render(d))
		case "ValidatingWebhookConfiguration":
			registrations = append(registrations, d)
		}
	}
	return registrations, cluster.Apply(ctx, Namespace, account...)
}

// CRDs applies envladder's CRDs.
func CRDs(ctx context.Context, cluster *bed.Cluster, root string) error {
	return Files(ctx, cluster, filepath.Join(root, "manifests", "crds"))
}

// Files applies all documents in a folder, in the order of the file names.
func Files(ctx context.Context, cluster *bed.Cluster, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("applying %s: no files", dir)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := cluster.Apply(ctx, "argocd", string(data)); err != nil {
			return fmt.Errorf("applying %s: %w", file, err)
		}
	}
	return nil
}

// Webhook applies the CRDs and the webhook's manifests to a cluster, starts the webhook by run
// with its own account, and registers it. It returns the URL of the metrics.
func Webhook(ctx context.Context, b *bed.Bed, cluster *bed.Cluster, root string, run func(context.Context, bed.Process) error) (metrics string, err error) {
	if err := CRDs(ctx, cluster, root); err != nil {
		return "", err
	}
	registrations, err := Account(ctx, cluster, root, "webhook.yaml")
	if err != nil {
		return "", err
	}
	kubeconfig, err := cluster.ServiceAccountKubeconfig(ctx, Namespace, webhookAccount)
	if err != nil {
		return "", err
	}
	pair, err := b.CA.Server(webhookAccount)
	if err != nil {
		return "", err
	}
	address, err := FreeAddress()
	if err != nil {
		return "", err
	}
	metricsAddress, err := FreeAddress()
	if err != nil {
		return "", err
	}
	process, err := Local{
		Manifest: "webhook.yaml", Program: "envladder-webhook",
		Pod:    []string{"--kubeconfig=" + kubeconfig},
		Mounts: map[string]string{"/tls/tls.crt": pair.CertFile, "/tls/tls.key": pair.KeyFile},
		// The bed's CA signs the certificate, since no kubelet mounts the one that the webhook
		// creates.
		Flags: map[string]string{"--listen": address, "--certificate-secret": "", "--metrics-bind-address": metricsAddress},
		Ready: "https://" + address + "/readyz",
	}.Process(b, root)
	if err != nil {
		return "", err
	}
	if err := run(ctx, process); err != nil {
		return "", err
	}
	for _, registration := range registrations {
		if err := setURL(registration, "https://"+address, b.CA); err != nil {
			return "", err
		}
		if err := cluster.Apply(ctx, Namespace, render(registration)); err != nil {
			return "", err
		}
	}
	return "http://" + metricsAddress + "/metrics", nil
}

// setURL replaces the Service in a webhook configuration with a URL, since the webhook runs
// outside the cluster.
func setURL(config *unstructured.Unstructured, url string, ca *bed.CA) error {
	hooks, _, err := unstructured.NestedSlice(config.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, entry := range hooks {
		hook, ok := entry.(map[string]any)
		if !ok {
			return errors.New("reading the webhook configuration: not a map")
		}
		path, _, _ := unstructured.NestedString(hook, "clientConfig", "service", "path")
		hook["clientConfig"] = map[string]any{"url": url + path, "caBundle": ca.Base64()}
	}
	return unstructured.SetNestedSlice(config.Object, hooks, "webhooks")
}

// FreeAddress returns a free address on loopback.
func FreeAddress() (string, error) {
	port, err := bed.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}
