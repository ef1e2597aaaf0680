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
)

// StatusOptions say what a status looks at beside the ladder.
type StatusOptions struct {
	// Gates by their environment, in place of those that the ladder names.
	Gates   []verdict.Gate
	Recalls []v1alpha1.Recall
	// Clusters to look for what runs.
	Clusters []Cluster
	Judge    Judge
	// Charts reads those that are in registries, where a Gate asks for their digest.
	Charts *chart.Puller
	Now    func() time.Time
	// Remote that promotions' branches are read from; empty: they aren't.
	Remote string
}

// Status is how a ladder stands.
type Status struct {
	Ladder string `json:"ladder"`
	Rows   []Row  `json:"rows"`
	// Proposals are what promotions' branches propose, and ProposalsError is why some
	// couldn't be read.
	Proposals      []Proposal `json:"proposals"`
	ProposalsError string     `json:"proposalsError,omitempty"`
	// Clusters that were asked, and what couldn't be read of them.
	Clusters []ClusterStatus `json:"clusters"`
}

// ClusterStatus is what became of asking a cluster.
type ClusterStatus struct {
	Name string `json:"name"`
	// Error is why it couldn't be read; empty where it could.
	Error string `json:"error,omitempty"`
}

// Row is one image in one place.
type Row struct {
	Environment string `json:"environment"`
	Target      string `json:"target,omitempty"`
	// Place is prod, or prod/eu.
	Place string `json:"place"`
	Image string `json:"image"`
	// Digest that is pinned, empty where none is.
	Digest string `json:"digest,omitempty"`
	// PinnedBy is the place that has it pinned, where this one has no pins of its own:
	// local runs what dev has.
	PinnedBy string `json:"pinnedBy,omitempty"`
	// Before is the environment before, with its digest: empty where there is none, or
	// where its targets don't agree.
	Before       string `json:"before,omitempty"`
	BeforeDigest string `json:"beforeDigest,omitempty"`
	// InStep says whether both are the same.
	InStep bool `json:"inStep"`
	// Running is what clusters run of the image, for this place.
	Running []Running `json:"running"`
	// Gates that were asked about the digest; the rest is empty where there was none.
	Verdicts []Judged `json:"verdicts"`
}

// Running is what a workload runs.
type Running struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	// Digest is empty where the workload names its image by tag.
	Digest  string `json:"digest,omitempty"`
	Ready   int32  `json:"ready"`
	Desired int32  `json:"desired"`
}

// StatusOf reads how the ladder of a work tree stands. What can't be read of a cluster or a
// registry is said in the status; the error is of the ladder, a Gate or a chart in Git.
func StatusOf(ctx context.Context, repo *ladder.Repository, o StatusOptions) (Status, error) {
	document, err := ladder.Open(repo.FS(), repo.Dir)
	if err != nil {
		return Status{}, err
	}
	s := Status{Ladder: document.Metadata.Name, Rows: []Row{}}
	o.readProposals(ctx, repo, &s)
	workloads := o.lookAround(ctx, &s)
	for _, environment := range document.Spec.Environments {
		rows, err := o.rows(ctx, repo, document, environment.Name, workloads)
		if err != nil {
			return Status{}, err
		}
		s.Rows = append(s.Rows, rows...)
	}
	if errors.Is(ctx.Err(), context.Canceled) { // that time is over is said in the rows
		return Status{}, context.Cause(ctx)
	}
	return s, nil
}

// readProposals reads what is proposed, in no more than a third of the time. Outside of a
// Git repository nothing is.
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
		s.ProposalsError = printable.Line(err.Error(), 500) // a remote's answer
	}
}

// lookAround asks all clusters at once, so that one that doesn't answer costs its time
// once, and no more than half of it.
func (o StatusOptions) lookAround(ctx context.Context, s *Status) []Workload {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	found := make([][]Workload, len(o.Clusters))
	s.Clusters = make([]ClusterStatus, len(o.Clusters))
	var group sync.WaitGroup
	for i, cluster := range o.Clusters {
		group.Go(func() {
			s.Clusters[i].Name = cluster.Name
			var err error
			if found[i], err = cluster.Workloads(ctx, s.Ladder); err != nil {
				s.Clusters[i].Error = printable.Line(err.Error(), 500) // an API server's answer
			}
		})
	}
	group.Wait()
	return slices.Concat(found...)
}

// rows of an environment.
func (o StatusOptions) rows(ctx context.Context, repo *ladder.Repository, document *ladder.Document, environment string, workloads []Workload) ([]Row, error) {
	places, err := document.Places(environment)
	if err != nil {
		return nil, err
	}
	before, err := placesBefore(document, environment)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, place := range places {
		gates, err := gatesOf(repo.FS(), place, o.gatesFor(environment))
		if err != nil {
			return nil, err
		}
		stamps, err := stampsOf(ctx, repo.FS(), o.Charts, document, place, gates)
		unread, isRemote := errors.AsType[*remoteChartError](err)
		if err != nil && !isRemote {
			return nil, err
		}
		for _, image := range document.Spec.Images {
			row, pins := newRow(place, image, before), place.Pins
			if lender, ok := document.Lender(place); ok {
				pins, row.PinnedBy = lender.Pins, lender.Name()
				row.Digest = pins.Images[image.Name]
			}
			row.Running = slices.DeleteFunc(runningOf(workloads, place, image), func(r Running) bool {
				return r.Digest != row.Digest && pinnedByOther(document, pins, image, r.Digest)
			})
			switch pinned := (pinnedImage{image, row.Digest}); {
			case row.Digest == "":
			case unread != nil:
				row.Verdicts = unasked(pinned, gates, unread)
			default:
				row.Verdicts = inquiry{o.Judge, o.Recalls, o.Now}.ask(ctx, gates, stamps, []pinnedImage{pinned})
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (o StatusOptions) gatesFor(environment string) []verdict.Gate {
	return slices.DeleteFunc(slices.Clone(o.Gates), func(g verdict.Gate) bool { return g.Spec.Environment != environment })
}

func newRow(place ladder.Place, image ladder.Image, before []ladder.Place) Row {
	row := Row{
		Environment: place.Environment.Name, Target: place.Target.Name, Place: place.Name(), Image: image.Name,
		Digest: place.Pins.Images[image.Name], Running: []Running{}, Verdicts: []Judged{},
	}
	if len(before) == 0 || place.PinsFile == "" {
		return row
	}
	row.Before = before[0].Environment.Name
	digest, err := agreed(before, image.Name, func(p ladder.Pins) string { return p.Images[image.Name] })
	if err == nil {
		row.BeforeDigest = digest
		row.InStep = digest != "" && digest == row.Digest
	}
	return row
}

// pinnedByOther says whether a digest is pinned for another image of the same repository,
// such as a canary's, whose row has it.
func pinnedByOther(document *ladder.Document, pins ladder.Pins, image ladder.Image, digest string) bool {
	return slices.ContainsFunc(document.Spec.Images, func(other ladder.Image) bool {
		return other.Name != image.Name && other.Repository == image.Repository && pins.Images[other.Name] == digest && digest != ""
	})
}

func runningOf(workloads []Workload, place ladder.Place, image ladder.Image) []Running {
	running := []Running{}
	for _, w := range workloads {
		if w.Environment == place.Environment.Name && w.Target == place.Target.Name {
			running = append(running, w.of(image)...)
		}
	}
	return running
}
