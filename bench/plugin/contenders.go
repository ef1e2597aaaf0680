package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	repoclient "github.com/argoproj/argo-cd/v2/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/envladder/envladder/bench/internal/harness"
	"github.com/envladder/envladder/plugin/pluginpb"
)

// contender renders one repository.
type contender interface {
	name() string
	start(ctx context.Context) error
	Stop()
	// render renders the repository and returns the size of the manifests in bytes. Contenders
	// that change the request use the number in the release name.
	render(ctx context.Context, number int) (int, error)
	// PID returns the id of the contender's process, or 0 if it runs in this process.
	PID() int
}

// contenders returns all contenders, in the order of the table.
func contenders(o options, r repository, folder string) []contender {
	ours := func(title string, unique bool) contender {
		return &plugin{title: title, r: r, unique: unique, Process: harness.Process{Path: o.plugin}, folder: filepath.Join(folder, "sockets-"+r.name)}
	}
	return []contender{
		ours("envladder, unchanged", false),
		ours(titleChanged, true),
		&transport{plugin{title: "transport alone", r: r, folder: filepath.Join(folder, "transport-"+r.name)}, nil, nil},
		&plugin{title: "cmp-server, helm template", r: r, unique: true, Process: harness.Process{Path: o.argocd}, folder: filepath.Join(folder, "cmp-"+r.name), helm: o.helm},
		&repoServer{r: r, Process: harness.Process{Path: o.argocd}, helm: o.helm, folder: filepath.Join(folder, "repo-server-"+r.name)},
	}
}

// titleChanged is the contender that all others are compared with.
const titleChanged = "envladder, changed"

// kubeVersion is the version of Kubernetes that charts are rendered for.
const kubeVersion = "1.33.0"

// plugin is a config management plugin: ours, or, with helm set, argocd-cmp-server with a
// plugin that runs helm.
type plugin struct {
	harness.Process

	title  string
	r      repository
	folder string
	unique bool
	helm   string
}

func (p *plugin) name() string { return p.title }

// socket returns the path of the plugin's socket.
func (p *plugin) socket() string {
	if p.helm != "" {
		return filepath.Join(p.folder, "helm.sock")
	}
	return filepath.Join(p.folder, "envladder.sock")
}

func (p *plugin) start(ctx context.Context) error {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return err
	}
	arguments := []string{"serve", "--folder", p.folder, "--log-level=warn"}
	environment := []string{"PATH=" + os.Getenv("PATH")}
	if p.helm != "" {
		arguments = []string{"--config-dir-path", p.folder, "--loglevel=error"}
		environment = []string{
			"ARGOCD_BINARY_NAME=argocd-cmp-server", "ARGOCD_PLUGINSOCKFILEPATH=" + p.folder, "ARGOCD_CMP_WORKDIR=" + filepath.Join(p.folder, "work"),
			"HOME=" + p.folder, "TMPDIR=" + p.folder, "PATH=" + filepath.Dir(p.helm) + ":" + os.Getenv("PATH"),
		}
		if err := errors.Join(
			os.MkdirAll(filepath.Join(p.folder, "work"), 0o755),
			os.WriteFile(filepath.Join(p.folder, "plugin.yaml"), []byte(p.manifest()), 0o644),
		); err != nil {
			return err
		}
	}
	return p.Start(ctx, arguments, environment, func() error { return harness.Dial(ctx, "unix", p.socket()) })
}

// excluded are the files that a repo-server with --plugin-tar-exclude=.git/** doesn't send to
// plugins, as docs/plugin.md recommends.
var excluded = []string{".git/**"}

// manifest returns a typical manifest of a plugin that runs helm.
func (p *plugin) manifest() string {
	helm := `helm template "$PARAM_RELEASENAME" chart --include-crds --namespace "$ARGOCD_APP_NAMESPACE" --kube-version "$KUBE_VERSION" --values ` +
		strings.Join(p.r.values, " --values ")
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: ConfigManagementPlugin
metadata: {name: helm}
spec:
  generate: {command: [sh, -c, %s]}
`, strconv.Quote(helm))
}

func (p *plugin) render(ctx context.Context, number int) (int, error) {
	connection, client, err := apiclient.NewConfigManagementPluginClientSet(p.socket()).NewConfigManagementPluginClient()
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	// The repo-server does this for each render too.
	if _, err := client.CheckPluginConfiguration(ctx, &emptypb.Empty{}); err != nil {
		return 0, err
	}
	stream, err := client.GenerateManifest(ctx)
	if err != nil {
		return 0, err
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(p.r.root, p.r.app), p.r.root, stream, p.environment(number), excluded); err != nil {
		return 0, err
	}
	response, err := stream.CloseAndRecv()
	if err != nil {
		return 0, err
	}
	size := 0
	for _, m := range response.Manifests {
		size += len(m)
	}
	return size, nil
}

// environment returns the variables of a render.
func (p *plugin) environment(number int) []string {
	release := p.r.name
	if p.unique {
		release += "-" + strconv.Itoa(number)
	}
	parameters := fmt.Sprintf(`{"name":"environment","string":%q},{"name":"releaseName","string":%q}`, p.r.environment, release)
	if p.r.target != "" {
		parameters += fmt.Sprintf(`,{"name":"target","string":%q}`, p.r.target)
	}
	return []string{
		"ARGOCD_APP_NAME=" + p.r.name, "ARGOCD_APP_NAMESPACE=bench", "ARGOCD_APP_SOURCE_PATH=" + p.r.app,
		"ARGOCD_APP_REVISION=" + strings.Repeat("1", 40),
		"KUBE_VERSION=" + kubeVersion, "KUBE_API_VERSIONS=v1,apps/v1,batch/v1",
		"ARGOCD_APP_PARAMETERS=[" + parameters + "]", "PARAM_RELEASENAME=" + release,
	}
}

// transport receives the stream and returns as many bytes as our plugin, without a render: no
// plugin can be faster. It runs in this process, so its memory isn't measured.
type transport struct {
	plugin

	grpc   *grpc.Server
	answer *pluginpb.ManifestResponse
}

func (t *transport) PID() int { return 0 }

func (t *transport) start(ctx context.Context) error {
	if err := os.MkdirAll(t.folder, 0o755); err != nil {
		return err
	}
	rendered, err := os.ReadFile(filepath.Join(filepath.Dir(t.folder), "size-"+t.r.name))
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(string(rendered))
	if err != nil {
		return err
	}
	t.answer = &pluginpb.ManifestResponse{Manifests: []string{strings.Repeat("x", size)}}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", t.socket())
	if err != nil {
		return err
	}
	t.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(1<<30), grpc.MaxSendMsgSize(1<<30))
	pluginpb.RegisterConfigManagementPluginServiceServer(t.grpc, &drain{answer: t.answer})
	go func() { _ = t.grpc.Serve(listener) }()
	return nil
}

func (t *transport) Stop() { t.grpc.Stop() }

// drain is a plugin that discards the stream and returns a fixed response.
type drain struct {
	pluginpb.UnimplementedConfigManagementPluginServiceServer

	answer *pluginpb.ManifestResponse
}

func (d *drain) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*pluginpb.CheckPluginConfigurationResponse, error) {
	return &pluginpb.CheckPluginConfigurationResponse{}, nil
}

func (d *drain) GenerateManifest(stream grpc.ClientStreamingServer[pluginpb.AppStreamRequest, pluginpb.ManifestResponse]) error {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return stream.SendAndClose(d.answer)
		} else if err != nil {
			return err
		}
	}
}

// repoServer is Argo CD's repo-server with a Helm source, without its cache.
type repoServer struct {
	harness.Process

	r       repository
	helm    string
	folder  string
	redis   *miniredis.Miniredis
	client  repoclient.RepoServerServiceClient
	conn    io.Closer
	started atomic.Int64
}

func (s *repoServer) name() string { return "repo-server, Helm source" }

func (s *repoServer) start(ctx context.Context) error {
	// Each start uses a new folder: a clone is part of a cold start.
	folder := filepath.Join(s.folder, strconv.FormatInt(s.started.Add(1), 10))
	for _, name := range []string{"plugins", "ssh", "tls", "bin"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(folder, "ssh", "ssh_known_hosts"), nil, 0o644),
		os.Symlink(s.Path, filepath.Join(folder, "bin", "argocd")),
	); err != nil {
		return err
	}
	s.redis = miniredis.NewMiniRedis()
	if err := s.redis.StartAddr("127.0.0.1:0"); err != nil {
		return err
	}
	addresses, err := harness.FreeAddresses(ctx, 2)
	if err != nil {
		return err
	}
	address, metrics := addresses[0], addresses[1]
	_, port, _ := net.SplitHostPort(address)
	_, metricsPort, _ := net.SplitHostPort(metrics)
	err = s.Start(ctx,
		[]string{
			"--address", "127.0.0.1", "--port", port, "--metrics-address", "127.0.0.1", "--metrics-port", metricsPort,
			"--redis", s.redis.Addr(), "--disable-tls", "--loglevel=error",
		},
		[]string{
			"ARGOCD_BINARY_NAME=argocd-repo-server", "ARGOCD_GPG_ENABLED=false", "ARGOCD_PLUGINSOCKFILEPATH=" + filepath.Join(folder, "plugins"),
			"ARGOCD_TLS_DATA_PATH=" + filepath.Join(folder, "tls"), "ARGOCD_SSH_DATA_PATH=" + filepath.Join(folder, "ssh"),
			"HOME=" + folder, "TMPDIR=" + folder, "PATH=" + filepath.Join(folder, "bin") + ":" + filepath.Dir(s.helm) + ":" + os.Getenv("PATH"),
		},
		func() error { return harness.Dial(ctx, "tcp", address) })
	if err != nil {
		return err
	}
	s.conn, s.client, err = repoclient.NewRepoServerClientset(address, 60, repoclient.TLSConfiguration{DisableTLS: true}).NewRepoServerClient()
	return err
}

func (s *repoServer) Stop() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.Process.Stop()
	if s.redis != nil {
		s.redis.Close()
	}
}

func (s *repoServer) render(ctx context.Context, _ int) (int, error) {
	files := make([]string, len(s.r.values))
	for i, file := range s.r.values {
		files[i] = filepath.Join("..", file)
	}
	url := "file://" + s.r.root
	response, err := s.client.GenerateManifest(ctx, &repoclient.ManifestRequest{
		Repo: &v1alpha1.Repository{Repo: url}, Revision: "main", NoCache: true,
		AppName: s.r.name, Namespace: "bench", KubeVersion: kubeVersion, ApiVersions: []string{"v1", "apps/v1", "batch/v1"},
		ProjectName: "default", ProjectSourceRepos: []string{"*"},
		ApplicationSource: &v1alpha1.ApplicationSource{
			RepoURL: url, TargetRevision: "main", Path: filepath.Join(s.r.app, "chart"),
			Helm: &v1alpha1.ApplicationSourceHelm{ReleaseName: s.r.name, ValueFiles: files},
		},
	})
	if err != nil {
		return 0, err
	}
	size := 0
	for _, m := range response.Manifests {
		size += len(m)
	}
	return size, nil
}
