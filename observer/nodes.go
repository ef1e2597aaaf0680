package observer

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// maxNodes bounds what is remembered of nodes: Kubernetes supports 5,000.
	maxNodes = 5000
	// maxAsked bounds the nodes that are asked for in one observation of a digest.
	maxAsked = 16
)

// nodes knows what platform each node is: that doesn't change while it has its name.
type nodes struct {
	client client.Reader
	known  map[string]string // os/arch
}

// platforms are those of some nodes, as far as they are known.
func (n nodes) platforms(ctx context.Context, names []string) []string {
	var platforms []string
	asked := 0
	for _, name := range names {
		platform, known := n.known[name]
		if !known && asked < maxAsked {
			asked++
			platform = n.ask(ctx, name)
		}
		if platform != "" && !slices.Contains(platforms, platform) {
			platforms = append(platforms, platform)
		}
	}
	return platforms
}

func (n nodes) ask(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	node := &corev1.Node{}
	if err := n.client.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return "" // its time counts for no single platform
	}
	info := node.Status.NodeInfo
	if info.OperatingSystem == "" || info.Architecture == "" || len(info.OperatingSystem)+len(info.Architecture) > 60 {
		return ""
	}
	if len(n.known) >= maxNodes {
		clear(n.known)
	}
	n.known[name] = info.OperatingSystem + "/" + info.Architecture
	return n.known[name]
}
