package bed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/programs"
)

// ArgoCD is an Argo CD whose processes run next to its cluster instead of in it, with the RBAC
// of its manifests.
type ArgoCD struct {
	// Version is "v3" or "v2".
	Version   string
	Namespace string
	// URL is the address of the API, which requires no login. Server is the same address as
	// host:port, for argocd --plaintext --server.
	URL, Server string
	// RepoServer is host:port of the repo-server's gRPC API, without TLS.
	RepoServer string
	// PluginDir is the folder with the sockets of config management plugins.
	PluginDir string
	// Cluster is the cluster that has Argo CD's objects.
	Cluster *Cluster
	// Processes are the processes, which tests can stop and start.
	Processes struct{ RepoServer, Controller, ApplicationSets, Server *Running }

	bed   *Bed
	redis *miniredis.Miniredis
}

// inCluster is the address of Argo CD's own cluster in Applications.
const inCluster = "https://kubernetes.default.svc"

// startArgoCD installs and starts Argo CD.
func (b *Bed) startArgoCD(ctx context.Context, version string) error {
	if len(b.clusterNames) == 0 {
		return errors.New("starting Argo CD: the bed has no cluster")
	}
	begin := time.Now()
	a := &ArgoCD{
		Version: version, Namespace: "argocd", bed: b,
		Cluster:   b.Cluster(b.clusterNames[0]),
		PluginDir: b.path("argocd", "plugins"),
	}
	for _, step := range []func(context.Context) error{
		a.prepare, a.install, a.registerClusters, a.startRedis, a.startProcesses,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("starting Argo CD %s: %w", version, err)
		}
	}
	b.ArgoCD = a
	b.part("argocd "+version, begin)
	return nil
}

// program returns the name of the program in package programs.
func (a *ArgoCD) program() string { return "argocd-" + a.Version }

// prepare creates the folders and links the programs.
func (a *ArgoCD) prepare(ctx context.Context) error {
	for _, dir := range []string{"plugins", "tls", "ssh", "static", "gpg"} {
		if err := os.MkdirAll(a.bed.path("argocd", dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(a.bed.path("argocd", "ssh", "ssh_known_hosts"), nil, 0o644); err != nil {
		return err
	}
	// Argo CD runs helm, and itself when git asks for a password.
	if err := a.bed.link(ctx, "helm", "helm"); err != nil {
		return err
	}
	return a.bed.link(ctx, a.program(), "argocd")
}

// install applies the manifests of the module, except those of programs and network policies.
func (a *ArgoCD) install(ctx context.Context) error {
	module, err := programs.ModuleDir(ctx, a.program())
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(module, "manifests", "install.yaml"))
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	if err := a.Cluster.Namespace(ctx, a.Namespace); err != nil {
		return err
	}
	objects, err := decode(manifest)
	if err != nil {
		return err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Deployment", "StatefulSet", "NetworkPolicy":
			continue
		}
		if err := a.Cluster.applyOne(ctx, a.Namespace, object); err != nil {
			return err
		}
	}
	return a.Cluster.Apply(ctx, a.Namespace, fmt.Sprintf(argoCDObjects, secret()))
}

// argoCDObjects are objects that Argo CD would create itself some seconds later.
const argoCDObjects = `
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, labels: {app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: %q}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default}
spec:
  sourceRepos: ["*"]
  destinations: [{namespace: "*", server: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
`

// registerClusters registers the other clusters in Argo CD, with the token of a ServiceAccount
// there.
func (a *ArgoCD) registerClusters(ctx context.Context) error {
	for _, name := range a.bed.clusterNames[1:] {
		if err := a.register(ctx, a.bed.Cluster(name)); err != nil {
			return fmt.Errorf("registering cluster %q: %w", name, err)
		}
	}
	return nil
}

// register registers a cluster in Argo CD.
func (a *ArgoCD) register(ctx context.Context, c *Cluster) error {
	if err := c.Apply(ctx, metav1.NamespaceSystem, clusterManager); err != nil {
		return err
	}
	token, err := c.Token(ctx, metav1.NamespaceSystem, "argocd-manager")
	if err != nil {
		return err
	}
	return a.Cluster.Apply(ctx, a.Namespace, clusterSecret(c, token))
}

// clusterManager is the account that Argo CD uses in another cluster.
const clusterManager = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: argocd-manager}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: argocd-manager}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: argocd-manager, namespace: kube-system}]
`

// startRedis starts an in-memory Redis.
func (a *ArgoCD) startRedis(context.Context) error {
	var port int
	if err := freePorts(&port); err != nil {
		return err
	}
	a.redis = miniredis.NewMiniRedis()
	if err := a.redis.StartAddr(loopback(port)); err != nil {
		return fmt.Errorf("starting redis: %w", err)
	}
	// miniredis has its own clock, by which keys expire.
	clock := time.NewTicker(time.Second)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-clock.C:
				a.redis.FastForward(time.Second)
			case <-stop:
				return
			}
		}
	}()
	a.bed.onDown(func() {
		close(stop)
		clock.Stop()
		a.redis.Close()
	})
	return nil
}

// startProcesses starts the processes of Argo CD.
func (a *ArgoCD) startProcesses(ctx context.Context) error {
	var repo, api int
	if err := freePorts(&repo, &api); err != nil {
		return err
	}
	a.RepoServer = loopback(repo)
	a.Server = loopback(api)
	a.URL = "http://" + a.Server
	var all group
	all.run(func() error { return a.startRepoServer(ctx, repo) })
	all.run(func() error { return a.startController(ctx) })
	all.run(func() error { return a.startApplicationSets(ctx) })
	all.run(func() error { return a.startServer(ctx, api) })
	return all.wait()
}

// startRepoServer starts the repo-server.
func (a *ArgoCD) startRepoServer(ctx context.Context, port int) (err error) {
	metrics, err := FreePort()
	if err != nil {
		return err
	}
	a.Processes.RepoServer, err = a.run(ctx, "repo-server", "http://"+loopback(metrics)+"/healthz", nil,
		"--address", "127.0.0.1", "--port", strconv.Itoa(port),
		"--metrics-address", "127.0.0.1", "--metrics-port", strconv.Itoa(metrics),
		"--redis", a.redis.Addr(), "--disable-tls",
		// envladder's docs recommend these flags for large repositories.
		"--plugin-use-manifest-generate-paths", "--plugin-tar-exclude", ".git/**")
	return err
}

// startController starts the application controller. Its metrics port listens on every address;
// there is no flag for it.
func (a *ArgoCD) startController(ctx context.Context) (err error) {
	metrics, err := FreePort()
	if err != nil {
		return err
	}
	a.Processes.Controller, err = a.run(ctx, "application-controller", "http://"+loopback(metrics)+"/healthz",
		[]string{"ARGOCD_CONTROLLER_REPLICAS=1"},
		"--redis", a.redis.Addr(),
		"--repo-server", a.RepoServer, "--repo-server-plaintext",
		"--metrics-port", strconv.Itoa(metrics),
		"--app-resync", "30", "--self-heal-timeout-seconds", "2")
	return err
}

// startApplicationSets starts the ApplicationSet controller.
func (a *ArgoCD) startApplicationSets(ctx context.Context) error {
	var metrics, probe, webhook int
	if err := freePorts(&metrics, &probe, &webhook); err != nil {
		return err
	}
	var err error
	a.Processes.ApplicationSets, err = a.run(ctx, "applicationset-controller", "http://"+loopback(metrics)+"/metrics", nil,
		"--argocd-repo-server", a.RepoServer, "--repo-server-plaintext",
		"--metrics-addr", loopback(metrics), "--probe-addr", loopback(probe), "--webhook-addr", loopback(webhook))
	return err
}

// startServer starts the API server of Argo CD.
func (a *ArgoCD) startServer(ctx context.Context, port int) (err error) {
	metrics, err := FreePort()
	if err != nil {
		return err
	}
	a.Processes.Server, err = a.run(ctx, "server", a.URL+"/healthz", nil,
		"--address", "127.0.0.1", "--port", strconv.Itoa(port),
		"--metrics-address", "127.0.0.1", "--metrics-port", strconv.Itoa(metrics),
		"--insecure", "--disable-auth", "--redis", a.redis.Addr(),
		"--repo-server", a.RepoServer, "--repo-server-plaintext",
		"--staticassets", a.bed.path("argocd", "static"))
	return err
}

// run starts a process of Argo CD with its own ServiceAccount.
func (a *ArgoCD) run(ctx context.Context, name, healthz string, env []string, args ...string) (*Running, error) {
	kubeconfig, err := a.Cluster.ServiceAccountKubeconfig(ctx, a.Namespace, "argocd-"+name)
	if err != nil {
		return nil, err
	}
	return a.bed.run(ctx, turnService, Process{
		Name: "argocd-" + name,
		Path: a.bed.path("bin", "argocd"),
		Args: args,
		Env: append([]string{
			"ARGOCD_BINARY_NAME=argocd-" + name,
			// https://kubernetes.default.svc then means the cluster of the kubeconfig.
			"ARGOCD_FAKE_IN_CLUSTER=true",
			"KUBECONFIG=" + kubeconfig,
			"ARGOCD_TLS_DATA_PATH=" + a.bed.path("argocd", "tls"),
			"ARGOCD_SSH_DATA_PATH=" + a.bed.path("argocd", "ssh"),
			"ARGOCD_GPG_ENABLED=false",
			"ARGOCD_PLUGINSOCKFILEPATH=" + a.PluginDir,
		}, env...),
		Ready: httpOK(http.DefaultClient, healthz),
	})
}

// Destination returns the destination.server of an Application for a cluster of the bed.
func (a *ArgoCD) Destination(cluster string) string {
	if cluster == a.Cluster.Name {
		return inCluster
	}
	return a.bed.Cluster(cluster).URL
}

// API calls Argo CD's API. path is the path after /api/v1; in and out are JSON and may be nil.
func (a *ArgoCD) API(ctx context.Context, method, path string, in, out any) error {
	return callJSON(ctx, method, a.URL+"/api/v1/"+strings.TrimPrefix(path, "/"), nil, in, out)
}
