// Package bed starts real programs on loopback for tests: control planes, Argo CD, Gitea and
// registries, with TLS and RBAC as in production, and stops them again. It knows how to start
// each program and when it is ready. Package programs builds the programs.
//
//	b, err := bed.Up(ctx, bed.Options{Parts: bed.Parts{
//		Clusters:   []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}},
//		ArgoCD:     "v3",
//		Gitea:      true,
//		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
//	}})
//	defer b.Down()
//	out, err := b.Cluster(bed.Prod).Kubectl(ctx, "get", "pods", "-A")
package bed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/envladder/envladder/test/programs"
)

// The usual names of clusters. Argo CD, dev, previews and staging are in the first.
const (
	Staging = "staging"
	Prod    = "prod"
)

// Options configures the parts of a bed. The zero value is an empty bed, which can still run
// processes.
type Options struct {
	// Dir is the folder of all files, including logs. If empty, a new temporary folder is used,
	// which Down removes unless Keep or $ENVLADDER_BED_KEEP is set.
	Dir  string
	Keep bool
	// Log receives progress; the default is os.Stderr.
	Log io.Writer
	// Queue builds the programs. If it is nil, the bed has its own.
	Queue *programs.Queue

	Parts
}

// Parts are what Up and Add start.
type Parts struct {
	Clusters []ClusterOptions
	// ArgoCD is "v3" or "v2", or empty for no Argo CD. It runs in the first cluster, and the
	// other clusters are registered in it by name.
	ArgoCD     string
	Gitea      bool
	Registries []RegistryOptions
	// Programs are built before anything starts, for use with Bed.Program.
	Programs []string
}

// A Bed is a set of running parts.
type Bed struct {
	Dir string
	// CA signs serving certificates outside the clusters, such as those of webhooks and
	// registries with TLS.
	CA     *CA
	ArgoCD *ArgoCD
	Gitea  *Gitea

	options Options
	log     io.Writer
	queue   *programs.Queue

	// clusterNames are the names of all clusters, in the order of the options.
	clusterNames []string

	mu         sync.Mutex
	clusters   map[string]*Cluster
	registries map[string]*Registry
	processes  []*member
	closers    []func()
	parts      []PartReport
	took       time.Duration
	down       bool
}

// member is a process with its order in the teardown.
type member struct {
	*Running
	turn turn
}

// turn is the order of the teardown: the highest is stopped first. An API server hangs without
// its etcd.
type turn int

const (
	turnStore turn = iota
	turnServer
	turnController
	turnService
	turnGuest
)

// Up builds missing programs, starts the parts of the options, and returns when all of them are
// ready. The context bounds only the start: the parts run until Down, or until this process
// ends.
func Up(ctx context.Context, o Options) (*Bed, error) {
	b, err := up(ctx, o)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		// An interrupted start reports many errors, none of which is relevant.
		return nil, fmt.Errorf("starting the bed: %w", ctx.Err())
	}
	return b, err
}

// up is Up without the handling of an interruption.
func up(ctx context.Context, o Options) (*Bed, error) {
	b := &Bed{
		options: o, log: o.Log, Dir: o.Dir,
		clusters: map[string]*Cluster{}, registries: map[string]*Registry{},
	}
	if b.log == nil {
		b.log = os.Stderr
	}
	if os.Getenv("ENVLADDER_BED_KEEP") != "" {
		b.options.Keep = true
	}
	if b.queue = o.Queue; b.queue == nil {
		b.queue = programs.NewQueue(context.WithoutCancel(ctx), b.log)
	}
	if err := b.prepare(); err != nil {
		return nil, err
	}
	if err := b.Add(ctx, o.Parts); err != nil {
		b.Down()
		return nil, err
	}
	return b, nil
}

// Add builds missing programs, starts parts, and returns when all of them are ready, like Up. A
// bed has at most one Gitea and one Argo CD, which registers the clusters that were added before
// it or with it.
func (b *Bed) Add(ctx context.Context, parts Parts) error {
	if err := b.build(ctx, parts); err != nil {
		return err
	}
	begin := time.Now()
	if err := b.start(ctx, parts); err != nil {
		return err
	}
	b.mu.Lock()
	b.took += time.Since(begin)
	b.mu.Unlock()
	return nil
}

// prepare creates the bed's folder and CA.
func (b *Bed) prepare() error {
	sweep()
	if b.Dir == "" {
		dir, err := os.MkdirTemp("", dirPrefix)
		if err != nil {
			return fmt.Errorf("creating the bed's folder: %w", err)
		}
		b.Dir = dir
	}
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return fmt.Errorf("creating the bed's folder: %w", err)
	}
	b.Dir = dir
	for _, sub := range []string{"logs", "home", "tmp", "bin"} {
		if err := os.MkdirAll(b.path(sub), 0o755); err != nil {
			return fmt.Errorf("creating the bed's folder: %w", err)
		}
	}
	if err := os.WriteFile(b.path(pidFile), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("creating the bed's folder: %w", err)
	}
	if b.options.Keep {
		if err := os.WriteFile(b.path(keepFile), nil, 0o644); err != nil {
			return fmt.Errorf("creating the bed's folder: %w", err)
		}
	}
	b.CA, err = newCA("envladder bed", b.path("ca"))
	return err
}

// start starts the independent parts concurrently, then Argo CD.
func (b *Bed) start(ctx context.Context, parts Parts) error {
	for _, o := range parts.Clusters {
		b.clusterNames = append(b.clusterNames, o.Name)
	}
	var all group
	for _, o := range parts.Clusters {
		all.run(func() error { return b.startCluster(ctx, o) })
	}
	for _, o := range parts.Registries {
		all.run(func() error { return b.startRegistry(ctx, o) })
	}
	if parts.Gitea {
		all.run(func() error { return b.startGitea(ctx) })
	}
	if err := all.wait(); err != nil {
		return err
	}
	if parts.ArgoCD == "" {
		return nil
	}
	return b.startArgoCD(ctx, parts.ArgoCD)
}

// Cluster returns the cluster with the name. It panics if no parts had it.
func (b *Bed) Cluster(name string) *Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clusters[name]
	if c == nil {
		panic(fmt.Sprintf("bed: no cluster %q in Parts.Clusters", name))
	}
	return c
}

// Registry returns the registry with the name. It panics if no parts had it.
func (b *Bed) Registry(name string) *Registry {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.registries[name]
	if r == nil {
		panic(fmt.Sprintf("bed: no registry %q in Parts.Registries", name))
	}
	return r
}

// Run starts a process in the bed, for example a program under test. The process ends with the
// bed, before the bed's own parts.
func (b *Bed) Run(ctx context.Context, p Process) (*Running, error) {
	return b.run(ctx, turnGuest, p)
}

// run starts a process that is stopped in its turn.
func (b *Bed) run(ctx context.Context, turn turn, p Process) (*Running, error) {
	r, err := start(ctx, p, b.path("logs"), b.env())
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		r.Kill()
		return nil, fmt.Errorf("starting %s: the bed is down", p.Name)
	}
	b.processes = append(b.processes, &member{r, turn})
	r.mu.Lock()
	r.onExit = b.reportExit
	r.mu.Unlock()
	return r, nil
}

// reportExit reports a part that ended unexpectedly, which explains later failures.
func (b *Bed) reportExit(r *Running) {
	b.progressf("%s ended unexpectedly: %v%s", r.Name, r.exitError(), r.tail())
}

// env returns the environment of every process. It has only PATH in common with that of this
// process, neither its kubeconfig nor its credentials.
func (b *Bed) env() []string {
	return []string{
		"PATH=" + b.path("bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + b.path("home"),
		"TMPDIR=" + b.path("tmp"),
		"LANG=C.UTF-8",
	}
}

// onDown registers a function that Down calls after it has stopped the services.
func (b *Bed) onDown(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// Down stops everything in the right order and removes the bed's folder, unless the folder was
// set or is to be kept. It may be called more than once.
func (b *Bed) Down() error {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return nil
	}
	b.down = true
	processes, closers := b.processes, b.closers
	b.mu.Unlock()
	if b.options.Queue == nil {
		b.queue.Close()
	}
	for turn := turnGuest; turn >= turnStore; turn-- {
		stopAll(processes, turn)
		if turn == turnService {
			for _, f := range closers {
				f()
			}
		}
	}
	if b.options.Keep || b.options.Dir != "" {
		return nil
	}
	if err := os.RemoveAll(b.Dir); err != nil {
		return fmt.Errorf("removing the bed's folder: %w", err)
	}
	return nil
}

// stopAll stops the processes of a turn.
func stopAll(processes []*member, turn turn) {
	var all sync.WaitGroup
	for _, p := range processes {
		if p.turn == turn {
			all.Go(p.Stop)
		}
	}
	all.Wait()
}

// path returns a path in the bed's folder.
func (b *Bed) path(elements ...string) string {
	return filepath.Join(append([]string{b.Dir}, elements...)...)
}

// progressf reports progress.
func (b *Bed) progressf(format string, args ...any) {
	fmt.Fprintf(b.log, format+"\n", args...)
}

// group runs functions concurrently and joins their errors.
type group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// run runs a function in a goroutine.
func (g *group) run(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

// wait waits for all functions and returns their errors.
func (g *group) wait() error {
	g.wg.Wait()
	return errors.Join(g.errs...)
}
