package bed

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/programs"
)

// Annotations on pods that control KWOK's stages.
const (
	// AnnotationDigest, followed by a container's name, sets the digest in the container's
	// imageID if its image has no digest.
	AnnotationDigest = "bed.envladder.dev/digest."
	// AnnotationHold keeps a pod from becoming ready: Pending, NotReady, CrashLoopBackOff or
	// ImagePullBackOff.
	AnnotationHold = "bed.envladder.dev/hold"
)

//go:embed kwok/*.yaml
var stages embed.FS

const kwokNode = "kwok.x-k8s.io/node"

// kwokConfig sets every parallelism to at least 1, which KWOK requires.
const kwokConfig = `apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  enableCRDs: [Stage]
  manageNodesWithAnnotationSelector: kwok.x-k8s.io/node=fake
  cidr: 10.1.0.0/16
  nodeIP: 10.0.0.2
  nodePort: 10247
  nodeLeaseDurationSeconds: 40
  nodeLeaseParallelism: 2
  nodePlayStageParallelism: 2
  podPlayStageParallelism: 4
`

// startKwok starts KWOK. The stages are objects, so tests can change them while KWOK runs.
func (c *Cluster) startKwok(ctx context.Context) error {
	if err := c.applyStages(ctx); err != nil {
		return err
	}
	kubeconfig, err := c.UserKubeconfig("kwok", "system:masters")
	if err != nil {
		return err
	}
	config := c.path("kwok.yaml")
	if err := os.WriteFile(config, []byte(kwokConfig), 0o644); err != nil {
		return fmt.Errorf("configuring KWOK: %w", err)
	}
	var port int
	if err := freePorts(&port); err != nil {
		return err
	}
	c.Kwok, err = c.run(ctx, turnController, Process{
		Name: "kwok",
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--config=" + config,
			"--server-address=" + loopback(port),
		},
		Ready: httpOK(http.DefaultClient, "http://"+loopback(port)+"/healthz"),
	})
	if err != nil {
		return err
	}
	return c.startNodes(ctx)
}

// applyStages applies KWOK's CRD and the stages.
func (c *Cluster) applyStages(ctx context.Context) error {
	module, err := programs.ModuleDir(ctx, "kwok")
	if err != nil {
		return err
	}
	crd, err := os.ReadFile(filepath.Join(module, "kustomize", "crd", "bases", "kwok.x-k8s.io_stages.yaml"))
	if err != nil {
		return fmt.Errorf("reading KWOK's CRD: %w", err)
	}
	manifests := []string{string(crd)}
	files, err := stages.ReadDir("kwok")
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := stages.ReadFile("kwok/" + f.Name())
		if err != nil {
			return err
		}
		manifests = append(manifests, string(data))
	}
	return c.Apply(ctx, "", manifests...)
}

// startNodes adds the nodes and waits until they are usable.
func (c *Cluster) startNodes(ctx context.Context) error {
	count := c.options.Nodes
	if count == 0 {
		count = 2
	}
	for i := range count {
		if err := c.addNode(ctx, "node-"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return c.waitNodes(ctx, count)
}

// addNode creates a node.
func (c *Cluster) addNode(ctx context.Context, name string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        name,
		Annotations: map[string]string{kwokNode: "fake"},
		Labels: map[string]string{
			"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
		},
	}}
	if _, err := c.typed.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating node %q: %w", name, err)
	}
	return nil
}

// nodesTimeout is longer than defaultTimeout: controllers with their own accounts start one
// after the other, and on a busy machine they take long to remove the taint.
const nodesTimeout = 4 * time.Minute

// waitNodes waits until the nodes are usable.
func (c *Cluster) waitNodes(ctx context.Context, count int) error {
	return Poll(ctx, nodesTimeout, func(ctx context.Context) error {
		nodes, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var waiting []string
		for _, node := range nodes.Items {
			if !nodeUsable(node) {
				waiting = append(waiting, fmt.Sprintf("%s (taints %v)", node.Name, node.Spec.Taints))
			}
		}
		if len(waiting) > 0 || len(nodes.Items) < count {
			return fmt.Errorf("waiting for %d nodes: not ready: %s", count, strings.Join(waiting, ", "))
		}
		return nil
	})
}

// nodeUsable reports whether the scheduler may use a node. The taint of a new node is removed a
// moment after the node is ready.
func nodeUsable(node corev1.Node) bool {
	if len(node.Spec.Taints) > 0 {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
