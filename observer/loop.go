package observer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

const (
	// intervals is how many intervals may lie between two observations whose time
	// counts: one that comes late, because the API server was slow, isn't a gap yet.
	intervals = 3
	// settleTime is how long an observation waits for watches that ended in order to go
	// on: an API server takes some milliseconds.
	settleTime = time.Second
	// refusedTime is how long a Soak that couldn't be made isn't tried again: in a
	// namespace that is being deleted none can be.
	refusedTime = time.Minute
)

// loop is the leader's work: one goroutine, which alone has the tracks.
type loop struct {
	client   client.WithWatch // reads the API server, not a cache
	gates    client.Reader    // a cache of Gates
	catalog  *catalog
	attester attester
	sealer   sealer
	recorder record.EventRecorder
	nodes    nodes
	log      *slog.Logger
	self     v1alpha1.SoakObserver

	clock    clock
	interval time.Duration
	// ticks and stepped are for tests, which give the ticks and wait for each step.
	ticks   <-chan time.Time
	stepped chan<- error

	cluster  string // uid of kube-system
	worlds   map[string]*world
	tracks   map[trackKey]*track
	owed     map[trackKey]*track  // ended, with a statement that is still to be pushed
	opened   map[string]time.Time // since when a namespace is followed without a break
	present  map[string]time.Time // when a namespace was seen last
	refused  map[trackKey]time.Duration
	said     map[string]string // what was said of a Gate, by its name
	outcomes chan outcome
}

// trackKey is what is measured, and where.
type trackKey struct {
	namespace string
	spec      v1alpha1.SoakSpec
}

// NeedLeaderElection makes the manager start the loop in the leader alone.
func (l *loop) NeedLeaderElection() bool { return true }

// Start measures until ctx ends, or until another observer is seen to measure too.
func (l *loop) Start(ctx context.Context) error {
	l.log.Info("measuring", "instance", l.self.Instance, "interval", l.interval)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the worlds
	ticks := l.ticks
	if ticks == nil {
		ticker := time.NewTicker(l.interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case o := <-l.outcomes:
			err = l.conclude(ctx, o)
		case <-ticks:
			err = l.step(ctx)
			if l.stepped != nil {
				l.stepped <- err
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// step is one observation of everything. Its errors end the observer; what may pass is
// logged, and tried at the next.
func (l *loop) step(ctx context.Context) error {
	gates, faulty, err := readGates(ctx, l.gates)
	if err != nil {
		l.log.Error("reading the Gates fails; what is measured stays", "error", err)
		return nil
	}
	l.complain(faulty)
	maps.DeleteFunc(l.refused, func(_ trackKey, until time.Duration) bool { return until <= l.elapsed() })
	l.followNamespaces(ctx, gates)
	reached := l.probe(ctx)
	settled, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, namespace := range slices.Sorted(maps.Keys(l.worlds)) {
		w := l.worlds[namespace]
		if !w.ready() {
			continue
		}
		if reached {
			w.settle(settled)
		} else {
			w.doubt()
		}
		asking := asking(gates, namespace)
		seen := w.look(asking, l.catalog.contradicts, l.clock)
		l.advise(asking, seen.tagged)
		if err := l.observe(ctx, namespace, asking, seen, reached); err != nil {
			return err
		}
	}
	if !reached {
		return nil
	}
	return l.pay(ctx, gates)
}

// elapsed is the monotonic clock.
func (l *loop) elapsed() time.Duration {
	_, elapsed := l.clock.Read()
	return elapsed
}

// asking are the Gates that name a namespace.
func asking(gates []*observedGate, namespace string) []*observedGate {
	var asking []*observedGate
	for _, g := range gates {
		if slices.Contains(g.spec.Namespaces, namespace) {
			asking = append(asking, g)
		}
	}
	return asking
}

// followNamespaces follows those that Gates name, and no others.
func (l *loop) followNamespaces(ctx context.Context, gates []*observedGate) {
	wanted := map[string]bool{}
	for _, g := range gates {
		for _, namespace := range g.spec.Namespaces {
			wanted[namespace] = true
		}
	}
	for namespace, w := range l.worlds {
		if !wanted[namespace] {
			l.leave(ctx, namespace, w)
		}
	}
	for namespace := range wanted {
		if l.worlds[namespace] == nil {
			l.worlds[namespace] = follow(ctx, l.client, namespace, l.log)
		}
	}
}

// leave ends the measuring in a namespace that no Gate names any more.
func (l *loop) leave(ctx context.Context, namespace string, w *world) {
	w.stop()
	for key, t := range l.tracks {
		if key.namespace == namespace {
			l.end(ctx, key, t, health{Message: "no Gate asks for it any more"}, read(l.clock).observation(""))
		}
	}
	delete(l.worlds, namespace)
	delete(l.opened, namespace)
	delete(l.present, namespace)
}

// probe asks the API server whether it is there: what a cache says is no news.
func (l *loop) probe(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, min(callTime, l.interval))
	defer cancel()
	system := &corev1.Namespace{}
	if err := l.client.Get(ctx, client.ObjectKey{Name: "kube-system"}, system); err != nil {
		l.log.Warn("the API server doesn't answer; until it does, time doesn't count", "error", err)
		return false
	}
	l.cluster = string(system.UID)
	return true
}

// observe adds what was seen in a namespace to its tracks.
func (l *loop) observe(ctx context.Context, namespace string, gates []*observedGate, seen sight, reached bool) error {
	if !reached || seen.broke {
		delete(l.opened, namespace)
	}
	if !reached || seen.blind {
		return l.miss(ctx, namespace, seen, reached)
	}
	wanted := l.wanted(namespace, gates, seen)
	if err := l.openOld(ctx, namespace, wanted, gates, seen.at); err != nil {
		l.log.Error("a namespace's Soaks can't be read; nothing is measured there until they can", "namespace", namespace, "error", err)
		return nil
	}
	for _, key := range l.tracksIn(namespace) {
		if _, runs := wanted[key]; !runs {
			l.end(ctx, key, l.tracks[key], health{Message: stoppedMessage}, seen.of(key.spec))
		}
	}
	for key, h := range wanted {
		if err := l.observeOne(ctx, key, h, seen.of(key.spec), gates); err != nil {
			return err
		}
	}
	l.present[namespace] = seen.at.wall
	return nil
}

// miss is an observation that saw nothing.
func (l *loop) miss(ctx context.Context, namespace string, seen sight, reached bool) error {
	h := health{Reason: v1alpha1.SoakUnobserved, Message: "the API server didn't answer"}
	if reached {
		h.Message = "following the namespace is interrupted"
	}
	for _, key := range l.tracksIn(namespace) {
		l.note(ctx, l.tracks[key], h, seen.at.observation(""))
		if !reached {
			continue // nothing can be written
		}
		if err := l.save(ctx, key, l.tracks[key]); err != nil {
			return err
		}
	}
	return nil
}

// tracksIn are the keys of a namespace's tracks; the map may change while they are
// gone through.
func (l *loop) tracksIn(namespace string) []trackKey {
	var keys []trackKey
	for key := range l.tracks {
		if key.namespace == namespace {
			keys = append(keys, key)
		}
	}
	return keys
}

// wanted is what should be measured. Workloads with different stamps make a Soak each;
// all of a digest's workloads count for the health of each. Once a digest's chart has
// changed, the one that runs has a Soak of its own.
func (l *loop) wanted(namespace string, gates []*observedGate, seen sight) map[trackKey]health {
	byName := map[string]*observedGate{}
	for _, g := range gates {
		byName[g.name] = g
	}
	wanted := map[trackKey]health{}
	for of, h := range seen.subjects {
		g := byName[of.gate]
		image, _ := gate.FindImage(g.spec, of.repository)
		for _, w := range h.Workloads {
			spec := v1alpha1.SoakSpec{
				Gate: g.name, Environment: g.spec.Environment, Repository: of.repository, Digest: of.digest,
				Ladder: image.Ladder, Target: name(w.target),
			}
			if spec.Ladder == "" {
				spec.Ladder = name(w.ladder)
			}
			key := trackKey{namespace, spec}
			wanted[key] = h
			if t, chart := l.tracks[key], h.chart(); t != nil && t.needsChart(chart) {
				key.spec.Chart = chart
				wanted[key] = h
			}
		}
	}
	return wanted
}

// name is a stamp that can be the name of a ladder or a target (63 characters).
func name(stamp string) string {
	if len(stamp) > 63 {
		return ""
	}
	return stamp
}

func (l *loop) observeOne(ctx context.Context, key trackKey, h health, o observation, gates []*observedGate) error {
	t := l.tracks[key]
	if t == nil {
		if l.elapsed() < l.refused[key] {
			return nil
		}
		opened, err := l.open(ctx, key.namespace, key.spec)
		if err != nil {
			l.log.Error("a digest can't be measured; it is tried again", "namespace", key.namespace, "digest", key.spec.Digest, "error", err)
			l.refused[key] = l.elapsed() + refusedTime
			return nil
		}
		delete(l.refused, key)
		l.inherit(key, opened)
		l.tracks[key], t = opened, opened
		l.log.Info("measuring a digest", "namespace", key.namespace, "soak", soakName(key.spec), "healthy", time.Duration(t.account.Healthy)*time.Second)
	}
	t.ask(gates)
	l.note(ctx, t, h, o)
	return l.save(ctx, key, t)
}

// note adds an observation to a track. It reads no clock: its time ends with the look.
func (l *loop) note(ctx context.Context, t *track, h health, o observation) {
	before := t.account.Reason
	o.Platforms = l.nodes.platforms(ctx, h.Nodes)
	t.observe(h, o, intervals*l.interval)
	if before != t.account.Reason {
		l.log.Info("a digest's health changed", "namespace", t.namespace, "soak", soakName(t.spec), "reason", t.account.Reason, "message", t.message)
	}
}

// save writes a track and, once that has shown that this is the leader, has what is due
// signed.
func (l *loop) save(ctx context.Context, key trackKey, t *track) error {
	err := l.write(ctx, t)
	switch {
	case errors.Is(err, errUsurped):
		return err
	case errors.Is(err, errGone):
		l.forget(key, t)
		return nil
	case err != nil:
		l.log.Error("a notebook can't be written; its figures are kept in memory", "error", err)
		return nil
	}
	if after, due := t.due(); due && !t.signing && l.elapsed() >= t.retry {
		t.signing = true
		l.attester.start(ctx, l.job(key, t, after), l.outcomes)
	}
	return nil
}

// end closes a track whose digest doesn't run any more; it goes on if it comes back.
func (l *loop) end(ctx context.Context, key trackKey, t *track, h health, o observation) {
	delete(l.tracks, key)
	l.closeTrack(ctx, key, t, h, o)
	l.collect(ctx, key.namespace)
}

// stoppedMessage is what a notebook says whose digest doesn't run.
const stoppedMessage = "no workload runs it, or no Gate asks for it any more"

func (l *loop) closeTrack(ctx context.Context, key trackKey, t *track, h health, o observation) {
	h.Reason = v1alpha1.SoakNotRunning
	l.note(ctx, t, h, o)
	err := l.write(ctx, t)
	if errors.Is(err, errGone) {
		return
	}
	if err != nil {
		l.log.Error("a notebook can't be closed; the time since its last page doesn't count", "error", err)
	}
	l.owe(key, t)
}

// complain says why a Gate isn't gone by.
func (l *loop) complain(faulty []unusable) {
	for _, f := range faulty {
		l.say(f.object, "Unusable", fmt.Sprintf("nothing is measured for this Gate: %v", f.err))
	}
}

// advise says why an image isn't measured.
func (l *loop) advise(gates []*observedGate, tagged map[string]string) {
	for _, g := range gates {
		if message := tagged[g.name]; message != "" {
			l.say(g.object, "NoDigest", message+": time is measured of digests; name the image with one")
		}
	}
}

// say tells the platform team something about a Gate, once.
func (l *loop) say(about client.Object, reason, message string) {
	message = printable.Cut(message, maxMessage)
	key := string(about.GetUID()) + reason
	if l.said[key] == message {
		return
	}
	l.said[key] = message
	l.recorder.Event(about, corev1.EventTypeWarning, reason, message)
	l.log.Warn("a Gate's images aren't all measured", "gate", about.GetName(), "reason", reason, "message", message)
}
