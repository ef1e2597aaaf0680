package webhook

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
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// Report has the webhook say in the status of Gates what runs in their namespaces and
// would be refused. The account must be allowed to list the kinds that start pods.
type Report struct {
	// Interval between audits. A change of a Gate, Recall or Exception is audited soon.
	Interval time.Duration
	// Lease by which several replicas agree on one that reports; empty: this one does.
	Lease types.NamespacedName

	settle time.Duration // in place of settleTime
}

const (
	// settleTime is waited for more changes after the first: Gates come by the dozen.
	settleTime = 10 * time.Second
	// namespaceTime bounds the audit of a namespace, so that one which is full, or whose
	// registry is slow, leaves the others their time.
	namespaceTime = 2 * time.Minute
	// A Lease is written every leaseRetry; a replica that is lost is followed within
	// leaseTime. Nobody waits for a report.
	leaseTime, leaseRenew, leaseRetry = 30 * time.Second, 20 * time.Second, 5 * time.Second
)

// reporter audits what runs. It shares with the rulings what they go by and nothing
// else: they neither wait for it nor fail with it.
type reporter struct {
	Report

	cluster  *rest.Config
	kinds    *workload.Kinds
	gates    *store
	policies policies
	self     *clusterID
	judge    audit.Judge
	client   client.Client
	log      *slog.Logger

	leading sync.Mutex // held while this replica reports
}

// guardedJudge is a decider as an audit asks it: a panic is a denial there too.
type guardedJudge struct{ decider *decider }

// Judge implements audit.Judge.
func (g guardedJudge) Judge(ctx context.Context, query verdict.Query) []verdict.Outcome {
	return g.decider.one(ctx, query)
}

func newReporter(report Report, config Config, manager ctrl.Manager, d *decider) *reporter {
	report.settle = cmp.Or(report.settle, settleTime)
	// Unlike rulings, an audit is in nobody's way.
	cluster := rest.CopyConfig(config.Cluster)
	cluster.QPS, cluster.Burst = 20, 40
	return &reporter{
		Report: report, cluster: cluster, kinds: d.owners.kinds, gates: d.gates, policies: d.policies, self: d.cluster,
		judge: guardedJudge{d}, client: manager.GetClient(), log: config.Log,
	}
}

// run reports until ctx ends, whenever this replica leads.
func (r *reporter) run(ctx context.Context) error {
	if r.Lease.Name == "" {
		r.lead(ctx)
		return nil
	}
	elector, err := r.elector()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		elector.Run(ctx) // ends where the lead is lost; rulings go on, and so does the candidacy
	}
	r.leading.Lock() // until the last audit has ended
	defer r.leading.Unlock()
	return nil
}

func (r *reporter) elector() (*leaderelection.LeaderElector, error) {
	leases, err := coordinationv1client.NewForConfig(r.cluster)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("reading the host's name: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.Lease.Namespace, Name: r.Lease.Name},
			Client:     leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		LeaseDuration: leaseTime, RenewDeadline: leaseRenew, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true, // two that audit at once for a moment write the same
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: r.lead,
			OnStoppedLeading: func() { r.log.Info("another replica may report what runs") },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the Lease %s: %w", r.Lease, err)
	}
	return elector, nil
}

// lead audits every interval, and soon after a change of what rulings go by.
func (r *reporter) lead(ctx context.Context) {
	r.leading.Lock()
	defer r.leading.Unlock()
	if wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) { return r.gates.ready(), nil }) != nil {
		return
	}
	r.log.Info("reporting what runs", "interval", r.Interval)
	tick := time.NewTicker(r.Interval)
	defer tick.Stop()
	for {
		select { // what has changed so far is in the audit that begins
		case <-r.gates.changed:
		default:
		}
		if err := panics.Catch(func() error { return r.report(ctx) }); err != nil && ctx.Err() == nil {
			r.log.Error("reporting what runs fails", "error", err)
		}
		select {
		case <-tick.C:
			continue
		case <-r.gates.changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(r.settle):
		case <-ctx.Done():
			return
		}
	}
}

// audited is what was found in a namespace, or why nothing was.
type audited struct {
	images []audit.Image
	unread []audit.Unread
	err    error
}

// report audits the namespaces of all Gates, and writes what it found to their status.
func (r *reporter) report(ctx context.Context) error {
	gates := r.gates.all()
	found := r.audit(ctx, gates)
	if err := ctx.Err(); err != nil {
		return err // what was cut off is no finding
	}
	var failed error
	for _, g := range gates {
		running, condition := summarize(g, found)
		failed = errors.Join(failed, retry.RetryOnConflict(retry.DefaultRetry, func() error {
			return writeStatus(ctx, r.client, g.Name, func(_ guard, status *v1alpha1.GateStatus) bool {
				return setRunning(status, running, condition)
			})
		}))
	}
	return failed
}

// audit is what runs in the namespaces of Gates.
func (r *reporter) audit(ctx context.Context, gates []guard) map[string]audited {
	var readable []verdict.Gate
	var namespaces []string
	for _, g := range gates {
		if g.unreadable == nil {
			readable = append(readable, g.Gate)
			namespaces = append(namespaces, g.Spec.Namespaces...)
		}
	}
	slices.Sort(namespaces)
	found := map[string]audited{}
	cluster, options, err := r.options(ctx, readable)
	for _, namespace := range slices.Compact(namespaces) {
		one := audited{err: err}
		if err == nil {
			limited, cancel := context.WithTimeoutCause(ctx, namespaceTime, fmt.Errorf("it took longer than %s", namespaceTime))
			one.images, one.unread, one.err = audit.Namespace(limited, cluster, options, namespace)
			cancel()
		}
		if one.err != nil && ctx.Err() == nil {
			r.log.Error("auditing a namespace fails", "namespace", namespace, "error", one.err)
		}
		found[namespace] = one
	}
	return found
}

// options are what rulings go by now.
func (r *reporter) options(ctx context.Context, gates []verdict.Gate) (*audit.Cluster, audit.Options, error) {
	if name, err := r.gates.unreadRecall(); err != nil {
		return nil, audit.Options{}, fmt.Errorf("reading Recall %q: %w", name, err)
	}
	policies, unread := r.policies.named(ctx, gates)
	for _, name := range slices.Sorted(maps.Keys(unread)) {
		return nil, audit.Options{}, unread[name]
	}
	uid, err := r.self.of(ctx, gates)
	if err != nil {
		return nil, audit.Options{}, err
	}
	cluster, err := audit.NewCluster(r.cluster, r.kinds) // each time: kinds come and go
	return cluster, audit.Options{
		Gates: gates, Cluster: uid, Recalls: r.gates.recalled(), Exceptions: r.gates.excepted(), Policies: policies,
		Judge: r.judge, Now: time.Now(),
	}, err
}

// setRunning brings a status up to date, and says whether it wasn't. What was found last
// stays while nothing is known.
func setRunning(status *v1alpha1.GateStatus, running *v1alpha1.RunningStatus, condition metav1.Condition) (changed bool) {
	changed = meta.SetStatusCondition(&status.Conditions, condition)
	if running != nil && !equality.Semantic.DeepEqual(status.Running, running) {
		status.Running, changed = running, true
	}
	return changed
}
