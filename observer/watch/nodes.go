package watch

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// maxNodes bounds the cache: Kubernetes supports 5,000 nodes.
	maxNodes = 5000
	// maxNodeReads bounds the nodes that are read in one observation of a digest.
	maxNodeReads = 16
	// nodeTimeout bounds the read of one node.
	nodeTimeout = 5 * time.Second
)

// Nodes caches the platform of each node, which doesn't change while the node has its
// name.
type Nodes struct {
	client    client.Reader
	platforms map[string]string // os/arch, by node
}

// NewNodes returns an empty cache.
func NewNodes(reader client.Reader) Nodes { return Nodes{reader, map[string]string{}} }

// Platforms returns the platforms of some nodes, as far as they are known.
func (n Nodes) Platforms(ctx context.Context, names []string) []string {
	var platforms []string
	reads := 0
	for _, name := range names {
		platform, known := n.platforms[name]
		if !known && reads < maxNodeReads {
			reads++
			platform = n.read(ctx, name)
		}
		if platform != "" && !slices.Contains(platforms, platform) {
			platforms = append(platforms, platform)
		}
	}
	return platforms
}

func (n Nodes) read(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	node := &corev1.Node{}
	if err := n.client.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return "" // its time counts for no single platform
	}
	info := node.Status.NodeInfo
	if info.OperatingSystem == "" || info.Architecture == "" || len(info.OperatingSystem)+len(info.Architecture) > 60 {
		return ""
	}
	if len(n.platforms) >= maxNodes {
		clear(n.platforms)
	}
	n.platforms[name] = info.OperatingSystem + "/" + info.Architecture
	return n.platforms[name]
}
