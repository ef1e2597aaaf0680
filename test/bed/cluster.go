package bed

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// ClusterOptions configures a cluster.
type ClusterOptions struct {
	Name string
	// APIServerOnly starts the cluster without controllers, scheduler and KWOK: objects are
	// admitted and stored, but nothing acts on them.
	APIServerOnly bool
	// Nodes is the number of KWOK's nodes; the default is 2.
	Nodes int
	// ControllerAccounts runs each controller with its own ServiceAccount
	// (system:serviceaccount:kube-system:<controller>), instead of all as
	// system:kube-controller-manager. Both occur in real clusters. The start takes some seconds
	// longer.
	ControllerAccounts bool
	// APIServerArgs are appended to the bed's own arguments.
	APIServerArgs []string
}

// programs returns the programs of a cluster.
func (o ClusterOptions) programs() []string {
	names := []string{"etcd", "kube-apiserver", "kubectl"}
	if !o.APIServerOnly {
		names = append(names, "kube-controller-manager", "kube-scheduler", "kwok")
	}
	return names
}

// A Cluster is a control plane with TLS and RBAC. No containers run: KWOK simulates the status
// of pods.
type Cluster struct {
	Name string
	URL  string
	// CA signs the cluster's serving and client certificates.
	CA *CA
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string

	// The processes, which tests can stop and start. They are nil if the options exclude them.
	Etcd, APIServer, ControllerManager, Scheduler, Kwok *Running

	bed     *Bed
	options ClusterOptions
	kubectl string
	// tokenKey is the path of the key that signs the tokens of ServiceAccounts.
	tokenKey string

	config  *rest.Config
	typed   kubernetes.Interface
	dynamic dynamic.Interface

	mapping sync.Mutex
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// startCluster starts a cluster.
func (b *Bed) startCluster(ctx context.Context, o ClusterOptions) error {
	begin := time.Now()
	c := &Cluster{Name: o.Name, bed: b, options: o}
	for _, step := range []func(context.Context) error{
		c.prepare, c.startEtcd, c.startAPIServer, c.startControllers,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("starting cluster %q: %w", o.Name, err)
		}
	}
	b.mu.Lock()
	b.clusters[o.Name] = c
	b.mu.Unlock()
	b.part("cluster "+o.Name, begin)
	return nil
}

// prepare creates the CA and builds kubectl.
func (c *Cluster) prepare(ctx context.Context) (err error) {
	if c.CA, err = newCA(c.Name, c.path("pki")); err != nil {
		return err
	}
	c.kubectl, err = c.bed.Program(ctx, "kubectl")
	return err
}

// path returns a path in the cluster's folder.
func (c *Cluster) path(elements ...string) string {
	return c.bed.path(append([]string{"clusters", c.Name}, elements...)...)
}

// run starts one of the cluster's processes.
func (c *Cluster) run(ctx context.Context, turn turn, p Process) (*Running, error) {
	path, err := c.bed.Program(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	p.Path = path
	p.Name = c.Name + "-" + p.Name
	return c.bed.run(ctx, turn, p)
}

// startEtcd starts etcd.
func (c *Cluster) startEtcd(ctx context.Context) (err error) {
	var client, peer int
	if err := freePorts(&client, &peer); err != nil {
		return err
	}
	clientURL, peerURL := "http://"+loopback(client), "http://"+loopback(peer)
	c.Etcd, err = c.run(ctx, turnStore, Process{
		Name: "etcd",
		Args: []string{
			"--name", c.Name, "--data-dir", c.path("etcd"),
			"--listen-client-urls", clientURL, "--advertise-client-urls", clientURL,
			"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
			"--initial-cluster", c.Name + "=" + peerURL,
			// The data doesn't have to survive a power failure.
			"--unsafe-no-fsync", "--log-level", "warn",
		},
		Ready: httpOK(http.DefaultClient, clientURL+"/health"),
	})
	c.URL = clientURL // until the API server's is known
	return err
}

// startAPIServer starts the API server.
func (c *Cluster) startAPIServer(ctx context.Context) error {
	etcdURL := c.URL
	var port int
	if err := freePorts(&port); err != nil {
		return err
	}
	// The first address of the service range, and the names that pods use.
	serving, err := c.CA.Server("kube-apiserver", "10.0.0.1", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	c.URL = "https://" + loopback(port)
	if err := c.connect(); err != nil {
		return err
	}
	c.APIServer, err = c.run(ctx, turnServer, Process{
		Name: "kube-apiserver",
		Args: append([]string{
			"--etcd-servers=" + etcdURL,
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
			// The API server rejects endpoints with a loopback address.
			"--endpoint-reconciler-type=none",
			"--secure-port=" + strconv.Itoa(port),
			"--tls-cert-file=" + serving.CertFile, "--tls-private-key-file=" + serving.KeyFile,
			"--client-ca-file=" + c.CA.File,
			"--service-account-key-file=" + serving.KeyFile,
			"--service-account-signing-key-file=" + serving.KeyFile,
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--authorization-mode=Node,RBAC",
			"--service-cluster-ip-range=10.0.0.0/24",
			"--allow-privileged",
			// Off by default in 1.34; image volumes would be dropped silently.
			"--feature-gates=ImageVolume=true",
		}, c.options.APIServerArgs...),
		Ready: c.readyz,
	})
	if err != nil {
		return err
	}
	c.tokenKey = serving.KeyFile
	return nil
}

// readyz returns an error if the API server isn't ready.
func (c *Cluster) readyz(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := c.typed.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// startControllers starts the programs that act on objects. It runs after the API server is
// ready, because the controller manager ends if a role that it needs is missing.
func (c *Cluster) startControllers(ctx context.Context) error {
	if c.options.APIServerOnly {
		return nil
	}
	var all group
	all.run(func() error { return c.startControllerManager(ctx) })
	all.run(func() error { return c.startScheduler(ctx) })
	all.run(func() error { return c.startKwok(ctx) })
	return all.wait()
}

// startControllerManager starts the controller manager.
func (c *Cluster) startControllerManager(ctx context.Context) error {
	// Its own role has only the permissions that the accounts of its controllers don't have.
	groups := []string{"system:masters"}
	if c.options.ControllerAccounts {
		groups = nil
	}
	kubeconfig, err := c.UserKubeconfig("system:kube-controller-manager", groups...)
	if err != nil {
		return err
	}
	args := []string{
		"--service-account-private-key-file=" + c.tokenKey,
		"--root-ca-file=" + c.CA.File,
		// There are no real nodes and no cloud.
		"--controllers=*,-nodeipam,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller",
		"--use-service-account-credentials=" + strconv.FormatBool(c.options.ControllerAccounts),
	}
	c.ControllerManager, err = c.runController(ctx, "kube-controller-manager", kubeconfig, args)
	if err != nil {
		return err
	}
	return c.waitServiceAccount(ctx, "default")
}

// startScheduler starts the scheduler.
func (c *Cluster) startScheduler(ctx context.Context) error {
	kubeconfig, err := c.UserKubeconfig("system:kube-scheduler")
	if err != nil {
		return err
	}
	c.Scheduler, err = c.runController(ctx, "kube-scheduler", kubeconfig, nil)
	return err
}

// runController starts the controller manager or the scheduler.
func (c *Cluster) runController(ctx context.Context, name, kubeconfig string, args []string) (*Running, error) {
	var port int
	if err := freePorts(&port); err != nil {
		return nil, err
	}
	serving, err := c.CA.Server(name)
	if err != nil {
		return nil, err
	}
	return c.run(ctx, turnController, Process{
		Name: name,
		Args: append([]string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
			"--tls-cert-file=" + serving.CertFile, "--tls-private-key-file=" + serving.KeyFile,
			"--leader-elect=false",
		}, args...),
		Ready: httpOK(httpClient(c.CA), "https://"+loopback(port)+"/healthz"),
	})
}
