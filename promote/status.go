package promote

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote/workloads"
)

// StatusOptions configure what a status reads in addition to the ladder.
type StatusOptions struct {
	// Gates by their environment, in place of those that the ladder names.
	Gates   []verdict.Gate
	Recalls []v1alpha1.Recall
	// Clusters to read for what runs.
	Clusters []workloads.Cluster
	Judge    Judge
	// Charts reads charts from registries, where a Gate requires their digest.
	Charts *chart.Puller
	Now    func() time.Time
	// Remote to read the branches of promotions from; none are read where it is empty.
	Remote string
}

// Status is the status of a ladder.
type Status struct {
	Ladder string `json:"ladder"`
	Rows   []Row  `json:"rows"`
	// Proposals of the branches of promotions. ProposalsError is why some couldn't be
	// read.
	Proposals      []Proposal `json:"proposals"`
	ProposalsError string     `json:"proposalsError,omitempty"`
	// Clusters that were read.
	Clusters []ClusterStatus `json:"clusters"`
}

// ClusterStatus is the result of reading a cluster.
type ClusterStatus struct {
	Name string `json:"name"`
	// Error is why it couldn't be read; empty where it could.
	Error string `json:"error,omitempty"`
}

// Row is one image in one environment or target.
type Row struct {
	Environment string `json:"environment"`
	Target      string `json:"target,omitempty"`
	// EnvTarget is prod, or prod/eu.
	EnvTarget string `json:"envTarget"`
	Image     string `json:"image"`
	// Digest that is pinned, empty where none is.
	Digest string `json:"digest,omitempty"`
	// PinnedBy is the environment whose pins apply, where this one has no pins of its own:
	// local runs what dev has.
	PinnedBy string `json:"pinnedBy,omitempty"`
	// Before is the environment before, with its digest: empty where there is none, or
	// where its targets differ.
	Before       string `json:"before,omitempty"`
	BeforeDigest string `json:"beforeDigest,omitempty"`
	// InStep is set where both digests are the same.
	InStep bool `json:"inStep"`
	// Running is what clusters run of the image in this environment or target.
	Running []workloads.Running `json:"running"`
	// Verdicts of the Gates on the digest; empty where there is none.
	Verdicts []GateResult `json:"verdicts"`
}

// StatusOf returns the status of the ladder of a work tree. The status reports what
// couldn't be read of a cluster or a registry; StatusOf fails for errors in the ladder, a
// Gate or a chart in Git.
func StatusOf(ctx context.Context, repo *ladder.Repository, o StatusOptions) (Status, error) {
	document, err := ladder.Open(repo.FS(), repo.Dir)
	if err != nil {
		return Status{}, err
	}
	s := Status{Ladder: document.Metadata.Name, Rows: []Row{}}
	o.readProposals(ctx, repo, &s)
	running := o.readClusters(ctx, &s)
	for _, environment := range document.Spec.Environments {
		rows, err := o.rows(ctx, repo, document, environment.Name, running)
		if err != nil {
			return Status{}, err
		}
		s.Rows = append(s.Rows, rows...)
	}
	if errors.Is(ctx.Err(), context.Canceled) { // the rows report a deadline
		return Status{}, context.Cause(ctx)
	}
	return s, nil
}

// readProposals reads the branches of promotions, in at most a third of the time. There
// are none outside of a Git repository.
func (o StatusOptions) readProposals(ctx context.Context, repo *ladder.Repository, s *Status) {
	s.Proposals = []Proposal{}
	if o.Remote == "" {
		return
	}
	if deadline, ok := ctx.Deadline(); ok {
		const share = 3
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/share)
		defer cancel()
	}
	found, err := Proposals(ctx, filepath.Join(repo.Root, filepath.FromSlash(repo.Dir)), o.Remote)
	s.Proposals = append(s.Proposals, found...)
	if err != nil && !errors.Is(err, gitrepo.ErrNoRepository) {
		s.ProposalsError = printable.Line(err.Error(), 500) // from a remote
	}
}

// readClusters reads all clusters at once and in at most half of the time, so that those
// that don't answer delay the rest once.
func (o StatusOptions) readClusters(ctx context.Context, s *Status) []workloads.Workload {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	found := make([][]workloads.Workload, len(o.Clusters))
	s.Clusters = make([]ClusterStatus, len(o.Clusters))
	var group sync.WaitGroup
	for i, cluster := range o.Clusters {
		group.Go(func() {
			s.Clusters[i].Name = cluster.Name
			var err error
			if found[i], err = cluster.List(ctx, s.Ladder); err != nil {
				s.Clusters[i].Error = printable.Line(err.Error(), 500) // from an API server
			}
		})
	}
	group.Wait()
	return slices.Concat(found...)
}

// rows returns the rows of an environment.
func (o StatusOptions) rows(ctx context.Context, repo *ladder.Repository, document *ladder.Document, environment string, running []workloads.Workload) ([]Row, error) {
	targets, err := document.EnvTargets(environment)
	if err != nil {
		return nil, err
	}
	before, err := targetsBefore(document, environment)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, target := range targets {
		gates, err := loadGates(repo.FS(), target, o.gatesFor(environment))
		if err != nil {
			return nil, err
		}
		stamps, err := stampsFor(ctx, repo.FS(), o.Charts, document, target, gates)
		unread, isRemote := errors.AsType[*remoteChartError](err)
		if err != nil && !isRemote {
			return nil, err
		}
		for _, image := range document.Spec.Images {
			row, pins := newRow(target, image, before), target.Pins
			if lender, ok := document.PinsSource(target); ok {
				pins, row.PinnedBy = lender.Pins, lender.Name()
				row.Digest = pins.Images[image.Name]
			}
			row.Running = slices.DeleteFunc(runningImage(running, target, image), func(r workloads.Running) bool {
				return r.Digest != row.Digest && pinnedByOther(document, pins, image, r.Digest)
			})
			switch pinned := (pinnedImage{image, row.Digest}); {
			case row.Digest == "":
			case unread != nil:
				row.Verdicts = unavailableResults(pinned, gates, unread)
			default:
				row.Verdicts = gateCheck{o.Judge, o.Recalls, o.Now}.check(ctx, gates, stamps, []pinnedImage{pinned})
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (o StatusOptions) gatesFor(environment string) []verdict.Gate {
	return slices.DeleteFunc(slices.Clone(o.Gates), func(g verdict.Gate) bool { return g.Spec.Environment != environment })
}

func newRow(target ladder.EnvTarget, image ladder.Image, before []ladder.EnvTarget) Row {
	row := Row{
		Environment: target.Environment.Name, Target: target.Target.Name, EnvTarget: target.Name(), Image: image.Name,
		Digest: target.Pins.Images[image.Name], Running: []workloads.Running{}, Verdicts: []GateResult{},
	}
	if len(before) == 0 || target.PinsFile == "" {
		return row
	}
	row.Before = before[0].Environment.Name
	digest, err := agreedValue(before, image.Name, func(p ladder.Pins) string { return p.Images[image.Name] })
	if err == nil {
		row.BeforeDigest = digest
		row.InStep = digest != "" && digest == row.Digest
	}
	return row
}

// pinnedByOther reports whether a digest is pinned for another image of the same
// repository, such as a canary's, whose row shows it.
func pinnedByOther(document *ladder.Document, pins ladder.Pins, image ladder.Image, digest string) bool {
	return slices.ContainsFunc(document.Spec.Images, func(other ladder.Image) bool {
		return other.Name != image.Name && other.Repository == image.Repository && pins.Images[other.Name] == digest && digest != ""
	})
}

// runningImage returns what the workloads of a target run of an image.
func runningImage(found []workloads.Workload, target ladder.EnvTarget, image ladder.Image) []workloads.Running {
	running := []workloads.Running{}
	for _, w := range found {
		if w.Environment == target.Environment.Name && w.Target == target.Target.Name {
			running = append(running, w.Running(image.Repository)...)
		}
	}
	return running
}
