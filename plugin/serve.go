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

// Config is what Serve needs.
type Config struct {
	// Folder of the plugins' sockets, shared with the repo-server.
	Folder string
	// Name of the plugin as Applications name it; the socket is <Name>.sock.
	Name   string
	Limits archive.Limits
	// MaxRequests is how many requests may hold a repository in memory at once; others
	// wait for their turn.
	MaxRequests int
	// RenderMemory is what one render may take, in bytes, and RenderTimeout how long
	// one may take whose request has no earlier deadline.
	RenderMemory  int64
	RenderTimeout time.Duration
	// ResultCache is how many bytes of manifests are kept.
	ResultCache int64
	// Charts reads charts from registries; nil rejects them.
	Charts *chart.Puller
	// MetricsListen is an address such as :8082, or empty.
	MetricsListen string
	Log           *slog.Logger
}

// DefaultConfig is a Config without name and log.
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

// DefaultResultCache has room for a thousand Applications of usual size.
const DefaultResultCache = 64 << 20

// minRenderMemory is what a worker needs to receive and parse a small chart.
const minRenderMemory = 64 << 20

// DefaultMaxRequests keeps the processors busy while some requests still receive.
func DefaultMaxRequests() int { return 2 * runtime.GOMAXPROCS(0) }

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

// DefaultFolder is where a repo-server looks for sockets unless its environment says
// otherwise.
const DefaultFolder = "/home/argocd/cmp-server/plugins"

// FolderVariable is the environment variable that moves it.
const FolderVariable = "ARGOCD_PLUGINSOCKFILEPATH"

const (
	// keepaliveMinimum: Argo CD pings idle connections every 10 s or 20 s, and a
	// server that finds that too often hangs up; half of it is never too often.
	keepaliveMinimum = 5 * time.Second
	// maxMessage bounds one chunk. Argo CD's are 1 KiB unless ARGOCD_CMP_CHUNK_SIZE
	// says otherwise, which is worth it up to a few MiB.
	maxMessage = 16 << 20
)

// DrainTime is how long requests may go on after the end was asked for; Kubernetes
// kills after 30 s.
const DrainTime = 20 * time.Second

// Serve answers on the plugin's socket until ctx ends, then lets requests finish for a
// while and removes the socket.
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
		Most:    config.MaxRequests,
		Memory:  config.RenderMemory,
		Timeout: config.RenderTimeout,
		Log:     config.Log,
		Killed:  func(reason worker.Reason) { metrics.lost.WithLabelValues(string(reason)).Inc() },
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

// recoverStream makes a panic the error of one request.
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

// socketName is what Kubernetes allows in names; Argo CD joins it to a path.
var socketName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// maxSocketPath is what fits into Linux's sockaddr_un.
const maxSocketPath = 107

func listen(ctx context.Context, folder, name string) (net.Listener, error) {
	if !socketName.MatchString(name) {
		return nil, fmt.Errorf("plugin name %q: use lower-case letters, digits, dots and dashes", name)
	}
	address := filepath.Join(folder, name+".sock")
	if len(address) > maxSocketPath {
		return nil, fmt.Errorf("socket %q has a path of %d bytes, and %d is the most: shorten the name or the folder", address, len(address), maxSocketPath)
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
	if err := os.Chmod(address, 0o666); err != nil { //nolint:gosec // that others can write is the point
		return nil, errors.Join(fmt.Errorf("opening the socket to other users: %w", err), listener.Close())
	}
	return listener, nil
}

// removeStale removes the socket of a plugin that is gone, and nothing else.
func removeStale(ctx context.Context, address string) error {
	info, err := os.Lstat(address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking for an old socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%q is in the socket's place and is no socket: remove it", address)
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
