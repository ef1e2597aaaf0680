package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/plugin/archive"
	"github.com/envladder/envladder/plugin/pluginpb"
	"github.com/envladder/envladder/plugin/worker"
)

// Config configures Serve.
type Config struct {
	// Folder is the folder of the plugins' sockets, shared with the repo-server.
	Folder string
	// Name is the plugin's name in Applications; the socket is <Name>.sock.
	Name   string
	Limits archive.Limits
	// MaxRequests is the maximum number of requests in progress, each with a repository in
	// memory; others wait.
	MaxRequests int
	// RenderMemory is the memory limit of a render in bytes, and RenderTimeout its timeout if
	// the request has no earlier deadline.
	RenderMemory  int64
	RenderTimeout time.Duration
	// ResultCache is the size of the cache of manifests, in bytes.
	ResultCache int64
	// Charts reads charts from registries; nil rejects them.
	Charts *chart.Puller
	// MetricsListen is an address such as :8082, or empty.
	MetricsListen string
	Log           *slog.Logger
}

// DefaultConfig returns the default configuration, without name and log.
func DefaultConfig() Config {
	return Config{
		Folder:        DefaultFolder,
		Limits:        archive.DefaultLimits,
		MaxRequests:   DefaultMaxRequests(),
		RenderMemory:  worker.DefaultMemory,
		RenderTimeout: worker.DefaultTimeout,
		ResultCache:   DefaultResultCache,
	}
}

// DefaultResultCache is the size of the manifests of a thousand usual Applications, in bytes.
const DefaultResultCache = 64 << 20

// minRenderMemory is the memory that a worker needs to receive and parse a small chart.
const minRenderMemory = 64 << 20

// DefaultMaxRequests returns a limit that keeps the processors busy while some requests are
// being received.
func DefaultMaxRequests() int { return 2 * runtime.GOMAXPROCS(0) }

// check rejects invalid limits.
func (c Config) check() error {
	if err := c.Limits.Check(); err != nil {
		return err
	}
	if c.MaxRequests < 1 {
		return fmt.Errorf("--max-requests %d: want 1 or more", c.MaxRequests)
	}
	if c.RenderMemory < minRenderMemory {
		return fmt.Errorf("--max-render-memory %d: want %d or more", c.RenderMemory, minRenderMemory)
	}
	if c.RenderTimeout < time.Second {
		return fmt.Errorf("--render-timeout %v: want 1s or more", c.RenderTimeout)
	}
	if c.ResultCache < 0 {
		return fmt.Errorf("--result-cache %d: want 0 or more", c.ResultCache)
	}
	return nil
}

// DefaultFolder is the folder in which a repo-server finds sockets by default.
const DefaultFolder = "/home/argocd/cmp-server/plugins"

// FolderVariable is the environment variable that sets another folder.
const FolderVariable = "ARGOCD_PLUGINSOCKFILEPATH"

const (
	// keepaliveMinimum is the minimum time between pings: a server closes connections with
	// more frequent ones. Argo CD pings idle connections every 10 s or 20 s.
	keepaliveMinimum = 5 * time.Second
	// maxMessage bounds one chunk. Argo CD's have 1 KiB by default; a larger
	// ARGOCD_CMP_CHUNK_SIZE is useful up to a few MiB.
	maxMessage = 16 << 20
)

// DrainTime is the time that requests have to finish on shutdown; Kubernetes kills after 30 s.
const DrainTime = 20 * time.Second

// Serve answers on the plugin's socket until ctx ends. Then it waits up to DrainTime for
// requests, and removes the socket.
func Serve(ctx context.Context, config Config) error {
	if err := config.check(); err != nil {
		return err
	}
	listener, err := listen(ctx, config.Folder, config.Name)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	if config.MetricsListen != "" {
		stopMetrics, err := metrics.serve(ctx, config.MetricsListen, config.Log)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		defer stopMetrics()
	}
	pool := newPool(config, metrics)
	defer pool.Close()
	server := newServer(config, pool, metrics)
	config.Log.Info("serving", "socket", listener.Addr().String())
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		config.Log.Info("stopping")
		shutDown(server)
	})
	err = server.Serve(listener)
	if !stop() {
		<-stopped
		return nil
	}
	return fmt.Errorf("serving on %q: %w", listener.Addr(), err)
}

func newPool(config Config, metrics *metrics) *worker.Pool {
	return worker.NewPool(worker.Config{
		MaxWorkers: config.MaxRequests,
		Memory:     config.RenderMemory,
		Timeout:    config.RenderTimeout,
		Log:        config.Log,
		Killed:     func(reason worker.Reason) { metrics.lost.WithLabelValues(string(reason)).Inc() },
	})
}

func newServer(config Config, pool *worker.Pool, metrics *metrics) *grpc.Server {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinimum, PermitWithoutStream: true}),
		grpc.StreamInterceptor(recoverStream(config.Log)),
	)
	pluginpb.RegisterConfigManagementPluginServiceServer(server, &service{
		limits:   config.Limits,
		limiter:  newLimiter(config.MaxRequests),
		charts:   config.Charts,
		renderer: newRenderer(pool, metrics, config.ResultCache),
		metrics:  metrics,
		log:      config.Log,
	})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server
}

// shutDown closes the listener, which removes the socket, and waits for requests.
func shutDown(server *grpc.Server) {
	kill := time.AfterFunc(DrainTime, server.Stop)
	defer kill.Stop()
	server.GracefulStop()
}

// recoverStream returns an interceptor that turns a panic into the error of its request.
func recoverStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		err := panics.Catch(func() error { return handler(srv, stream) })
		if caught, ok := errors.AsType[*panics.Error](err); ok {
			log.Error("panic", "method", info.FullMethod, "panic", caught.Value, "stack", string(caught.Stack))
			return status.Errorf(codes.Internal, "internal plugin error: %v", caught.Value)
		}
		return err
	}
}

// socketName matches what Kubernetes allows in names; Argo CD joins the name to a path.
var socketName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// maxSocketPath is the capacity of Linux's sockaddr_un.
const maxSocketPath = 107

// listen opens the plugin's socket.
func listen(ctx context.Context, folder, name string) (net.Listener, error) {
	if !socketName.MatchString(name) {
		return nil, fmt.Errorf("plugin name %q: use lower-case letters, digits, dots and dashes", name)
	}
	address := filepath.Join(folder, name+".sock")
	if len(address) > maxSocketPath {
		return nil, fmt.Errorf("socket %q has a path of %d bytes, the maximum is %d: shorten the name or the folder", address, len(address), maxSocketPath)
	}
	if err := removeStale(ctx, address); err != nil {
		return nil, err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	// The repo-server is another container, usually uid 999, and a client that connects
	// needs to write. The folder is a volume that only these containers share.
	if err := os.Chmod(address, 0o666); err != nil { //nolint:gosec // others must be able to write
		return nil, errors.Join(fmt.Errorf("making the socket writable for other users: %w", err), listener.Close())
	}
	return listener, nil
}

// removeStale removes the socket of a plugin that doesn't run any more. It removes nothing else.
func removeStale(ctx context.Context, address string) error {
	info, err := os.Lstat(address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("checking for an old socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%q exists and isn't a socket: remove it", address)
	}
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "unix", address); err == nil {
		answers := fmt.Errorf("a plugin answers on %q already: stop it or choose another name", address)
		return errors.Join(answers, conn.Close())
	}
	if err := os.Remove(address); err != nil {
		return fmt.Errorf("removing an old socket: %w", err)
	}
	return nil
}
