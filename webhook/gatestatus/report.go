package gatestatus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/policycache"
)

// ReportOptions configure the report of what runs. The account must have the right to list
// the kinds that start pods.
type ReportOptions struct {
	// Interval between audits. A change of a Gate, Recall or Exception is audited soon.
	Interval time.Duration
	// Lease by which several replicas elect the one that reports; empty: this one reports.
	Lease types.NamespacedName
	// SettleTime is the wait for more changes after the first one; zero: ten seconds, since
	// Gates are often applied by the dozen.
	SettleTime time.Duration
}

// Sources are what a Reporter audits, and what it judges by.
type Sources struct {
	// Cluster that is audited.
	Cluster *rest.Config
	// Client writes the status of Gates.
	Client client.Client
	// Kinds that start pods.
	Kinds *workload.Kinds
	// Policies, ImagePolicies and ClusterUID are those that admission uses.
	Policies      *policycache.Cache
	ImagePolicies policycache.ImagePolicies
	ClusterUID    *policycache.ClusterUID
	// Judge of images.
	Judge audit.Judge
	Log   *slog.Logger
}

const (
	// defaultSettleTime is the SettleTime if none is set.
	defaultSettleTime = 10 * time.Second
	// namespaceTimeout bounds the audit of a namespace, so that one which is full, or whose
	// registry is slow, leaves time for the others.
	namespaceTimeout = 2 * time.Minute
	// The Lease is renewed every leaseRetry; a replica that crashed is replaced within
	// leaseDuration. Nothing waits for a report.
	leaseDuration, leaseRenew, leaseRetry = 30 * time.Second, 20 * time.Second, 5 * time.Second
)

// Reporter audits what runs, and writes what would be denied to the status of Gates.
// Admission neither waits for it nor fails with it.
type Reporter struct {
	options ReportOptions
	sources Sources

	leading sync.Mutex // held while this replica reports
}

// NewReporter returns a Reporter. It reports nothing before Run.
func NewReporter(options ReportOptions, sources Sources) *Reporter {
	options.SettleTime = cmp.Or(options.SettleTime, defaultSettleTime)
	// Unlike an admission, an audit may wait.
	cluster := rest.CopyConfig(sources.Cluster)
	cluster.QPS, cluster.Burst = 20, 40
	sources.Cluster = cluster
	return &Reporter{options: options, sources: sources}
}

// Leads reports whether this replica is the one that reports.
func (r *Reporter) Leads() bool {
	if r.leading.TryLock() {
		r.leading.Unlock()
		return false
	}
	return true
}

// Run reports until ctx ends, while this replica leads.
func (r *Reporter) Run(ctx context.Context) error {
	if r.options.Lease.Name == "" {
		r.lead(ctx)
		return nil
	}
	elector, err := r.elector()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		elector.Run(ctx) // returns when the lead is lost; admission goes on, and so does the candidacy
	}
	r.leading.Lock() // until the last audit has ended
	defer r.leading.Unlock()
	return nil
}

func (r *Reporter) elector() (*leaderelection.LeaderElector, error) {
	leases, err := coordinationv1client.NewForConfig(r.sources.Cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading the host's name: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.options.Lease.Namespace, Name: r.options.Lease.Name},
			Client:     leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		LeaseDuration: leaseDuration, RenewDeadline: leaseRenew, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true, // two that audit at once for a moment write the same
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: r.lead,
			OnStoppedLeading: func() { r.sources.Log.Info("stopped leading the report of what runs") },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up Lease %q: %w", r.options.Lease, err)
	}
	return elector, nil
}

// lead audits every interval, and soon after a change of a Gate, Recall or Exception.
func (r *Reporter) lead(ctx context.Context) {
	r.leading.Lock()
	defer r.leading.Unlock()
	if wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) { return r.sources.Policies.Ready(), nil }) != nil {
		return
	}
	r.sources.Log.Info("reporting what runs", "interval", r.options.Interval)
	tick := time.NewTicker(r.options.Interval)
	defer tick.Stop()
	for {
		select { // the audit that starts now includes what has changed so far
		case <-r.sources.Policies.Changed():
		default:
		}
		if err := panics.Catch(func() error { return r.report(ctx) }); err != nil && ctx.Err() == nil {
			r.sources.Log.Error("cannot report what runs", "error", err)
		}
		select {
		case <-tick.C:
			continue
		case <-r.sources.Policies.Changed():
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(r.options.SettleTime):
		case <-ctx.Done():
			return
		}
	}
}

// audited is what was found in a namespace, or why nothing was.
type audited struct {
	images     []audit.Image
	unreadable []audit.Unread
	err        error
}

// report audits the namespaces of all Gates, and writes the findings to their status.
func (r *Reporter) report(ctx context.Context) error {
	gates := r.sources.Policies.Gates()
	found := r.auditNamespaces(ctx, gates)
	if err := ctx.Err(); err != nil {
		return err // an interrupted audit is no finding
	}
	var failed error
	for _, g := range gates {
		running, condition := summarize(g, found)
		failed = errors.Join(failed, retry.RetryOnConflict(retry.DefaultRetry, func() error {
			return updateStatus(ctx, r.sources.Client, g.Name, func(_ policycache.CachedGate, status *v1alpha1.GateStatus) bool {
				return setRunning(status, running, condition)
			})
		}))
	}
	return failed
}

// auditNamespaces audits the namespaces of Gates. A Gate that can't be decoded is left out.
func (r *Reporter) auditNamespaces(ctx context.Context, gates []policycache.CachedGate) map[string]audited {
	var decoded []verdict.Gate
	var namespaces []string
	for _, g := range gates {
		if g.DecodeError == nil {
			decoded = append(decoded, g.Gate)
			namespaces = append(namespaces, g.Spec.Namespaces...)
		}
	}
	slices.Sort(namespaces)
	found := map[string]audited{}
	cluster, options, err := r.auditOptions(ctx, decoded)
	for _, namespace := range slices.Compact(namespaces) {
		a := audited{err: err}
		if err == nil {
			limited, cancel := context.WithTimeoutCause(ctx, namespaceTimeout, fmt.Errorf("timed out after %s", namespaceTimeout))
			a.images, a.unreadable, a.err = audit.Namespace(limited, cluster, options, namespace)
			cancel()
		}
		if a.err != nil && ctx.Err() == nil {
			r.sources.Log.Error("cannot audit namespace", "namespace", namespace, "error", a.err)
		}
		found[namespace] = a
	}
	return found
}

// auditOptions returns what admission would judge by now.
func (r *Reporter) auditOptions(ctx context.Context, gates []verdict.Gate) (*audit.Cluster, audit.Options, error) {
	if name, err := r.sources.Policies.UnreadableRecall(); err != nil {
		return nil, audit.Options{}, fmt.Errorf("reading Recall %q: %w", name, err)
	}
	policies, unreadable := r.sources.ImagePolicies.Named(ctx, gates)
	for _, name := range slices.Sorted(maps.Keys(unreadable)) {
		return nil, audit.Options{}, unreadable[name]
	}
	uid, err := r.sources.ClusterUID.For(ctx, gates)
	if err != nil {
		return nil, audit.Options{}, err
	}
	cluster, err := audit.NewCluster(r.sources.Cluster, r.sources.Kinds) // each time: kinds are installed and removed
	return cluster, audit.Options{
		Gates: gates, Cluster: uid, Recalls: r.sources.Policies.Recalls(), Exceptions: r.sources.Policies.Exceptions(), Policies: policies,
		Judge: r.sources.Judge, Now: time.Now(),
	}, err
}

// setRunning sets what runs and the condition, and reports whether that changed the status.
// While nothing is known, what was found last stays.
func setRunning(status *v1alpha1.GateStatus, running *v1alpha1.RunningStatus, condition metav1.Condition) (changed bool) {
	changed = meta.SetStatusCondition(&status.Conditions, condition)
	if running != nil && !equality.Semantic.DeepEqual(status.Running, running) {
		status.Running, changed = running, true
	}
	return changed
}
