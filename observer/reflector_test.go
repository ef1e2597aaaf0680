package observer

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

// response replaces the API server's response to a watch; the request passes where it
// returns neither a response nor an error.
type response func(*http.Request) (*http.Response, error)

// connection to the API server, on which watches of namespaces can fail while other
// requests pass.
type connection struct {
	next http.RoundTripper

	mu      sync.Mutex
	watches response
	down    bool                  // for all requests
	running map[*watchBody]string // watches, with their path
}

// watchBody is the body of a watch, which the test can end.
type watchBody struct {
	*io.PipeReader

	writer *io.PipeWriter
	body   io.Closer
}

// Close closes the body.
func (b *watchBody) Close() error {
	_ = b.PipeReader.Close()
	return b.body.Close()
}

// wrap has an observer send its requests over the connection.
func (l *connection) wrap(c *Config) {
	c.Cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		l.next = next
		return l
	})
}

// RoundTrip implements http.RoundTripper.
func (l *connection) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	watches, down := l.watches, l.down
	l.mu.Unlock()
	if down {
		return refuse(r)
	}
	if r.URL.Query().Get("watch") != "true" || !strings.Contains(r.URL.Path, "/namespaces/") {
		return l.next.RoundTrip(r)
	}
	if watches != nil {
		if response, err := watches(r); response != nil || err != nil {
			return response, err
		}
	}
	response, err := l.next.RoundTrip(r)
	if err == nil {
		response.Body = l.track(response.Body, r.URL.Path)
	}
	return response, err
}

func (l *connection) track(body io.ReadCloser, path string) *watchBody {
	reader, writer := io.Pipe()
	b := &watchBody{reader, writer, body}
	go func() {
		_, err := io.Copy(writer, body)
		_ = writer.CloseWithError(err)
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running[b] = path
	return b
}

// endWatches ends the running watches of a resource regularly, or all of them where it is
// empty.
func (l *connection) endWatches(resource string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b, path := range l.running {
		if resource == "" || strings.HasSuffix(path, "/"+resource) {
			delete(l.running, b)
			_ = b.writer.Close()
			_ = b.body.Close()
		}
	}
}

func (l *connection) set(watches response, down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watches, l.down = watches, down
}

func refuse(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// respond returns a response of an API server.
func respond(t *testing.T, code int, body any) response {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(raw)), Request: r,
		}, nil
	}
}

// event returns the event of a watch that can't go on.
func event(status metav1.Status) any {
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return map[string]any{"type": "ERROR", "object": status}
}

// hang responds when the request ends, or the test.
func hang(released <-chan struct{}) response {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-released:
			return nil, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// beginOver is begin over a connection.
func beginOver(t *testing.T) (*connection, *deployment, *runningObserver, string) {
	t.Helper()
	l := &connection{running: map[*watchBody]string{}}
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	d := s.deploy(s.web() + "@" + digest)
	r := s.observe(l.wrap)
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	return l, d, r, digest
}

func TestBrokenWatchStopsCounting(t *testing.T) {
	tooMany := apierrors.NewTooManyRequests("wait", 0).Status()
	gone := apierrors.NewResourceExpired("too old resource version").Status()
	const hanging = "no response"
	released := make(chan struct{})
	for name, failure := range map[string]response{
		"connection refused": refuse,
		"response 429":       respond(t, http.StatusTooManyRequests, tooMany),
		"response 410":       respond(t, http.StatusGone, gone),
		"event 429":          respond(t, http.StatusOK, event(tooMany)),
		"event 410":          respond(t, http.StatusOK, event(gone)),
		"immediate end":      respond(t, http.StatusOK, nil),
		hanging:              hang(released),
	} {
		t.Run(name, func(t *testing.T) {
			l, d, r, digest := beginOver(t)
			r.pass(20 * time.Second)
			l.set(failure, false)
			l.endWatches("")
			r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakUnobserved)
			d.setPod(0, false, 0)
			d.setPod(0, true, 0)
			r.pass(time.Minute)
			l.set(nil, false)
			if name == hanging {
				close(released)
			}
			r.untilState(digest, v1alpha1.SoakHealthy, "")
			r.pass(20 * time.Second)
			if w := r.soak(digest).Status.Window; w.HealthySeconds != 40 || w.InterruptedSeconds != 60 || w.LongestGapSeconds != 60 || w.Interruptions[0].Reason != v1alpha1.SoakUnobserved {
				t.Errorf("the window is %+v", w)
			}
		})
	}
}

func TestWatchBreakBetweenObservationsIsNoticed(t *testing.T) {
	l, d, r, digest := beginOver(t)
	r.pass(20 * time.Second)
	l.set(refuse, false)
	l.endWatches("pods")
	w := r.program.engine.Watcher(r.namespace)
	running := func(want bool) func() bool {
		return func() bool {
			return w.State().Broken != want
		}
	}
	observertest.WaitUntil(t, "the watch breaks", running(false))
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	l.set(nil, false)
	observertest.WaitUntil(t, "the watch works again", running(true))
	r.pass(20 * time.Second)
	if w := r.soak(digest).Status.Window; w.HealthySeconds != 30 || w.InterruptedSeconds != 10 || w.LongestGapSeconds != 10 || w.Interruptions[0].Reason != v1alpha1.SoakUnobserved {
		t.Errorf("the window is %+v", w)
	}
}

func TestWatchEndingRegularlyMissesNoEvent(t *testing.T) {
	l, d, r, digest := beginOver(t)
	r.pass(20 * time.Second)
	w := r.program.engine.Watcher(r.namespace)
	// A watch that ends in its first second without an event is a failure to client-go.
	d.setPod(1, true, 1)
	observertest.WaitUntil(t, "the watch has an event", func() bool {
		return w.Snapshot().Pods[d.pods[1].UID].Container("web").Restarts == 1
	})
	released := make(chan struct{})
	l.set(hang(released), false)
	l.endWatches("pods")
	observertest.WaitUntil(t, "the watch ends", func() bool {
		return w.State().Resuming
	})
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	close(released)
	observertest.WaitUntil(t, "the dip is noticed", func() bool {
		return w.State().Dips > 0 && w.Snapshot().Pods[d.pods[0].UID].Ready
	})
	r.pass(20 * time.Second)
	if w := r.soak(digest).Status.Window; w.HealthySeconds != 30 || w.LongestGapSeconds != 0 || w.Interruptions[0].Reason != v1alpha1.SoakDegraded {
		t.Errorf("the window is %+v", w)
	}
}

func TestUnansweredProbeRestartsWatches(t *testing.T) {
	l, d, r, digest := beginOver(t)
	r.pass(20 * time.Second)
	l.set(nil, true)
	l.mu.Lock()
	before := len(l.running)
	l.mu.Unlock()
	r.tick(10 * time.Second)
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	l.set(nil, false)
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	r.pass(20 * time.Second)
	l.mu.Lock()
	after := len(l.running)
	l.mu.Unlock()
	if after != 2*before {
		t.Errorf("%d watches were started, want %d", after, 2*before)
	}
	if w := r.soak(digest).Status.Window; w.HealthySeconds != 40 || w.LongestGapSeconds != 10 {
		t.Errorf("the window is %+v", w)
	}
}

func TestStoppedDigestGapCountsOnlyUnobservedTime(t *testing.T) {
	l, d, r, old := beginOver(t)
	r.pass(30 * time.Second)
	deploy := func(digest string) {
		d.deployment.Spec.Template = observertest.Template(d.web() + "@" + digest)
		d.must(d.client.Update(t.Context(), d.deployment))
		pods := d.pods
		d.roll()
		d.deletePods(pods)
		d.report(2)
		r.untilState(digest, v1alpha1.SoakHealthy, "")
	}
	fresh := d.registry.Image(t, "shop/web")
	deploy(fresh)
	r.pass(10 * time.Minute)
	l.set(refuse, false)
	l.endWatches("pods")
	r.untilState(fresh, v1alpha1.SoakInterrupted, v1alpha1.SoakUnobserved)
	r.pass(time.Minute)
	l.set(nil, false)
	r.untilState(fresh, v1alpha1.SoakHealthy, "")
	r.pass(10 * time.Minute)
	r.stop()
	d.wall = d.wall.Add(3 * time.Minute)
	r = d.observe()
	r.untilState(fresh, v1alpha1.SoakHealthy, "")
	r.pass(10 * time.Minute)
	deploy(old)
	r.pass(30 * time.Second)
	w := r.soak(old).Status.Window
	if w.HealthySeconds != 60 || w.LongestGapSeconds != 180 || w.InterruptedSeconds != (10+1+10+3+10)*60 {
		t.Errorf("the window is %+v", w)
	}
	var reasons []v1alpha1.SoakReason
	for _, piece := range w.Interruptions {
		reasons = append(reasons, piece.Reason)
	}
	if diff := cmp.Diff([]v1alpha1.SoakReason{v1alpha1.SoakNotRunning, v1alpha1.SoakUnobserved, v1alpha1.SoakNotRunning, v1alpha1.SoakUnobserved, v1alpha1.SoakNotRunning}, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestDipBetweenObservationsInterrupts(t *testing.T) {
	s, d, r, digest := begin(t)
	r.pass(20 * time.Second)
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	// The watch brings both events before this one, of another object of its kind.
	marker := d.pods[1].DeepCopy()
	marker.Annotations = map[string]string{"marker": "seen"}
	s.must(s.client.Update(t.Context(), marker))
	w := r.program.engine.Watcher(s.namespace)
	observertest.WaitUntil(t, "the dip is noticed", func() bool {
		return w.State().Dips > 0
	})
	observertest.WaitUntil(t, "the dip is over", func() bool {
		return w.Snapshot().Pods[d.pods[0].UID].Ready
	})
	r.tick(10 * time.Second)
	r.tick(10 * time.Second)
	if w := s.soak(digest).Status.Window; w.HealthySeconds != 30 || w.InterruptedSeconds != 10 || w.Interruptions[0].Reason != v1alpha1.SoakDegraded {
		t.Errorf("the window is %+v", w)
	}
}

func TestMissingReadinessProbeStopsCounting(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web()+"@"+digest, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].ReadinessProbe = nil })
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakWaiting, v1alpha1.SoakNoReadinessProbe)
	r.pass(2 * time.Minute)
	if got := s.soak(digest); got.Status.Window != nil || !strings.Contains(got.Status.Message, `container "web" has no readinessProbe`) {
		t.Errorf("the status is %+v", got.Status)
	}
	if all := s.attestations(digest); len(all) != 0 {
		t.Errorf("it was attested: %+v", all)
	}
}

func TestTaggedImageWarns(t *testing.T) {
	s := newStaging(t)
	s.deploy(s.web() + ":1.4.2")
	r := s.observe()
	observertest.WaitUntil(t, "there is an event", func() bool {
		r.tick(0)
		return s.event(s.gate.Name, "NoDigest")
	})
}

func TestNodeRunningOtherImageInterrupts(t *testing.T) {
	s, d, r, digest := begin(t)
	other := s.registry.Image(t, "shop/web")
	d.pods[1].Status.ContainerStatuses[0].ImageID = s.web() + "@" + other
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakOtherImage)
	d.pods[1].Status.ContainerStatuses[0].ImageID = "mirror.example.com/cache/web@" + observertest.Digest("9")
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakHealthy, "") // it can't be compared
}
