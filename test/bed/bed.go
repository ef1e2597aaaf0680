// Package bed starts real parts on loopback for tests: control planes, Argo
// CD, Gitea and registries, with TLS and RBAC as in earnest, and takes them
// down again. It knows how each program is started and when it is ready; how
// programs are built is package programs' business, and what a test does with
// them is the test's.
//
//	b, err := bed.Up(ctx, bed.Options{
//		Clusters:   []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}},
//		ArgoCD:     "v3",
//		Gitea:      true,
//		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
//	})
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
)

// The usual names of clusters: Argo CD, dev, previews and staging live in the
// first.
const (
	Staging = "staging"
	Prod    = "prod"
)

// Options say which parts a bed has. The zero value is an empty bed, which can
// still run processes.
type Options struct {
	// Dir is where everything is kept, logs too. Empty means a new temporary
	// folder, which Down removes unless Keep or $ENVLADDER_BED_KEEP is set.
	Dir  string
	Keep bool
	// Log gets progress. Nil means os.Stderr.
	Log io.Writer

	Clusters []ClusterOptions
	// ArgoCD is "v3" or "v2": it runs against the first cluster, and each other
	// cluster is registered in it by its name. Empty means none.
	ArgoCD     string
	Gitea      bool
	Registries []RegistryOptions
	// Programs are built before anything starts, for Bed.Program.
	Programs []string
}

// A Bed is a set of running parts.
type Bed struct {
	Dir string
	// CA signs serving certificates outside of the clusters: webhooks,
	// registries with TLS.
	CA     *CA
	ArgoCD *ArgoCD
	Gitea  *Gitea

	options Options
	log     io.Writer

	mu         sync.Mutex
	clusters   map[string]*Cluster
	registries map[string]*Registry
	processes  []*member
	closers    []func()
	parts      []Part
	begin      time.Time
	took       time.Duration
	down       bool
}

// member is a process with its turn in the teardown.
type member struct {
	*Running
	turn turn
}

// turn orders the teardown: the highest goes first. An API server without its
// etcd hangs.
type turn int

const (
	turnStore turn = iota
	turnServer
	turnController
	turnService
	turnGuest
)

// Up builds what is missing, starts the parts that o names, and returns when
// all of them are ready. The context bounds the start only: the parts run
// until Down, or until this process ends.
func Up(ctx context.Context, o Options) (*Bed, error) {
	b, err := up(ctx, o)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		// Whatever was cut short says that it failed, and has nothing to tell.
		return nil, fmt.Errorf("starting the bed: %w", ctx.Err())
	}
	return b, err
}

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
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	b.begin = time.Now()
	if err := b.prepare(); err != nil {
		return nil, err
	}
	if err := b.start(ctx); err != nil {
		b.Down()
		return nil, err
	}
	b.took = time.Since(b.begin)
	return b, nil
}

func (b *Bed) prepare() error {
	sweep()
	if b.Dir == "" {
		dir, err := os.MkdirTemp("", dirPrefix)
		if err != nil {
			return fmt.Errorf("making the bed's folder: %w", err)
		}
		b.Dir = dir
	}
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return fmt.Errorf("making the bed's folder: %w", err)
	}
	b.Dir = dir
	for _, sub := range []string{"logs", "home", "tmp", "bin"} {
		if err := os.MkdirAll(b.path(sub), 0o755); err != nil {
			return fmt.Errorf("making the bed's folder: %w", err)
		}
	}
	if err := os.WriteFile(b.path(pidFile), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("making the bed's folder: %w", err)
	}
	if b.options.Keep {
		if err := os.WriteFile(b.path(keepFile), nil, 0o644); err != nil {
			return fmt.Errorf("making the bed's folder: %w", err)
		}
	}
	b.CA, err = newCA("envladder bed", b.path("ca"))
	return err
}

// start starts what doesn't wait for anything side by side, then Argo CD.
func (b *Bed) start(ctx context.Context) error {
	var all group
	for _, o := range b.options.Clusters {
		all.run(func() error { return b.startCluster(ctx, o) })
	}
	for _, o := range b.options.Registries {
		all.run(func() error { return b.startRegistry(ctx, o) })
	}
	if b.options.Gitea {
		all.run(func() error { return b.startGitea(ctx) })
	}
	if err := all.wait(); err != nil {
		return err
	}
	if b.options.ArgoCD == "" {
		return nil
	}
	return b.startArgoCD(ctx, b.options.ArgoCD)
}

// Cluster returns the cluster of that name. It panics when there is none: the
// test asked for one that it did not start.
func (b *Bed) Cluster(name string) *Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clusters[name]
	if c == nil {
		panic(fmt.Sprintf("bed: no cluster %q in Options.Clusters", name))
	}
	return c
}

// Registry returns the registry of that name, and panics when there is none.
func (b *Bed) Registry(name string) *Registry {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.registries[name]
	if r == nil {
		panic(fmt.Sprintf("bed: no registry %q in Options.Registries", name))
	}
	return r
}

// Run starts a process in the bed, for example a program under test. It ends
// with the bed, before the bed's own parts.
func (b *Bed) Run(ctx context.Context, p Process) (*Running, error) {
	return b.run(ctx, turnGuest, p)
}

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
	r.lost = b.lost
	r.mu.Unlock()
	return r, nil
}

// lost tells of a part that ended by itself: what fails afterwards fails for
// that.
func (b *Bed) lost(r *Running) {
	b.progressf("%s ended by itself: %v%s", r.Name, r.exitError(), r.tail())
}

// env is the environment that every process gets. Nothing of the caller's but
// where its programs are leaks in: neither its kubeconfig nor its credentials.
func (b *Bed) env() []string {
	return []string{
		"PATH=" + b.path("bin") + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + b.path("home"),
		"TMPDIR=" + b.path("tmp"),
		"LANG=C.UTF-8",
	}
}

// onDown registers what else has to be closed, after the services' processes.
func (b *Bed) onDown(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// Down stops everything in the right order and removes the bed's folder
// unless it was given or is to be kept. It may be called more than once.
func (b *Bed) Down() error {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return nil
	}
	b.down = true
	processes, closers := b.processes, b.closers
	b.mu.Unlock()
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

func stopAll(processes []*member, turn turn) {
	var all sync.WaitGroup
	for _, p := range processes {
		if p.turn == turn {
			all.Go(p.Stop)
		}
	}
	all.Wait()
}

func (b *Bed) path(elements ...string) string {
	return filepath.Join(append([]string{b.Dir}, elements...)...)
}

func (b *Bed) progressf(format string, args ...any) {
	fmt.Fprintf(b.log, format+"\n", args...)
}

// group runs functions side by side and joins their errors.
type group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *group) run(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			g.errs = append(g.errs, err)
			g.mu.Unlock()
		}
	})
}

func (g *group) wait() error {
	g.wg.Wait()
	return errors.Join(g.errs...)
}
