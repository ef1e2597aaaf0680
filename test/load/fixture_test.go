package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/test/bed"
)

const (
	namespace = "shop"
	// healthy is the duration of each soak; enough and tooMuch are durations that Gates
	// require.
	healthy, enough, tooMuch = 25 * time.Hour, 24 * time.Hour, 48 * time.Hour
)

// fixture is the webhook and everything that it depends on.
type fixture struct {
	cluster                    *bed.Cluster
	registry                   *bed.Registry
	root, dir, cosign, metrics string
	pushed                     int

	// These subjects are admitted in one half of a cycle and denied in the other.
	recalled, tightened *subject

	mu       sync.Mutex
	subjects []*subject
}

// currentSubjects returns the current subjects.
func (w *fixture) currentSubjects() []*subject {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*subject(nil), w.subjects...)
}

// add adds a subject.
func (w *fixture) add(s *subject) *subject {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subjects = append(w.subjects, s)
	return s
}

// run runs a program.
func (w *fixture) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = w.dir
	cmd.Env = []string{"COSIGN_PASSWORD=", "HOME=" + w.dir, "PATH=" + os.Getenv("PATH")}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s %s: %w: %s", filepath.Base(program), args[0], err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// makeKeys generates the keys of the signers.
func (w *fixture) makeKeys(ctx context.Context) error {
	return errors.Join(
		w.run(ctx, w.cosign, "generate-key-pair", "--output-key-prefix", "ci"),
		w.run(ctx, w.cosign, "generate-key-pair", "--output-key-prefix", "observer"),
	)
}

// push pushes an image that differs from all others.
func (w *fixture) push(ctx context.Context, repository string) (bed.Pushed, error) {
	w.pushed++
	seed := fmt.Sprintf("image %d", w.pushed)
	return w.registry.Push(ctx, repository, fmt.Sprintf("v%d", w.pushed), seed)
}

// sign signs an image.
func (w *fixture) sign(ctx context.Context, i bed.Pushed) error {
	return w.run(ctx, w.cosign, "sign", "--key", "ci.key", "--use-signing-config=false", "--tlog-upload=false", "--yes", i.Ref())
}

// soak attests a soak of an image.
func (w *fixture) soak(ctx context.Context, i bed.Pushed) error {
	now := time.Now().UTC().Truncate(time.Second)
	return w.run(ctx, filepath.Join(w.root, "bin", "envladder"), "attest", "soak", "--key", "observer.key",
		"--ladder", "shop", "--environment", "staging", "--namespace", "shop-staging",
		"--from", now.Add(-healthy).Format(time.RFC3339), "--to", now.Format(time.RFC3339), "--healthy", healthy.String(), i.Ref())
}

// pushProven pushes an image with a signature and a soak.
func (w *fixture) pushProven(ctx context.Context, repository string) (bed.Pushed, error) {
	i, err := w.push(ctx, repository)
	if err != nil {
		return i, err
	}
	return i, errors.Join(w.sign(ctx, i), w.soak(ctx, i))
}

// makeSubjects creates the subjects.
func (w *fixture) makeSubjects(ctx context.Context) error {
	for range 3 {
		i, err := w.pushProven(ctx, "shop/web")
		if err != nil {
			return err
		}
		w.add(&subject{name: "proven", image: i.Ref()})
	}
	unsoaked, err := w.push(ctx, "shop/web")
	if err != nil {
		return err
	}
	if err := w.sign(ctx, unsoaked); err != nil {
		return err
	}
	w.add(&subject{name: "signed, no soak", image: unsoaked.Ref(), never: true, codes: []string{"NoSoak"}})
	unsigned, err := w.push(ctx, "shop/web")
	if err != nil {
		return err
	}
	w.add(&subject{name: "unsigned", image: unsigned.Ref(), never: true, codes: []string{"NoSignature"}})
	recalled, err := w.pushProven(ctx, "shop/web")
	if err != nil {
		return err
	}
	w.recalled = w.add(&subject{name: "recalled at times", image: recalled.Ref(), codes: []string{"Recalled"}})
	tightened, err := w.pushProven(ctx, "tight/web")
	if err != nil {
		return err
	}
	w.tightened = w.add(&subject{name: "with a changing Gate", image: tightened.Ref(), codes: []string{"SoakTooShort"}})
	return nil
}

// applyGates creates the namespace and the Gates.
func (w *fixture) applyGates(ctx context.Context) error {
	if err := w.cluster.Namespace(ctx, namespace); err != nil {
		return err
	}
	// Pods need this account, and no controller creates it here.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := w.cluster.Client().CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return err
	}
	return errors.Join(w.applyGate(ctx, "shop", enough), w.applyGate(ctx, "tight", enough))
}

// applyGate applies the Gate for a team's repositories.
func (w *fixture) applyGate(ctx context.Context, team string, duration time.Duration) error {
	var signers []map[string]any
	for _, name := range []string{"ci", "observer"} {
		key, err := os.ReadFile(filepath.Join(w.dir, name+".pub"))
		if err != nil {
			return err
		}
		signers = append(signers, map[string]any{"name": name, "time": "TrustSigner", "key": map[string]any{"data": string(key)}})
	}
	gate, err := yaml.Marshal(map[string]any{
		"apiVersion": "envladder.dev/v1alpha1", "kind": "Gate", "metadata": map[string]any{"name": team},
		"spec": map[string]any{
			"environment": "prod", "namespaces": []string{namespace}, "action": "Deny",
			"images":  []any{map[string]any{"repository": w.registry.Host + "/" + team + "/*", "ladder": "shop"}},
			"signers": signers,
			"requires": map[string]any{
				"signature": map[string]any{"by": []string{"ci"}},
				"soak":      map[string]any{"by": []string{"observer"}, "environment": "staging", "duration": duration.String()},
			},
		},
	})
	if err != nil {
		return err
	}
	return w.cluster.Apply(ctx, "", string(gate))
}

// tighten requires a longer soak than the images have.
func (w *fixture) tighten(ctx context.Context) error { return w.applyGate(ctx, "tight", tooMuch) }

// loosen requires a soak that the images have.
func (w *fixture) loosen(ctx context.Context) error { return w.applyGate(ctx, "tight", enough) }

var recalls = schema.GroupVersionResource{Group: "envladder.dev", Version: "v1alpha1", Resource: "recalls"}

// recall recalls a digest.
func (w *fixture) recall(ctx context.Context) error {
	_, digest, _ := strings.Cut(w.recalled.image, "@")
	return w.cluster.Apply(ctx, "", fmt.Sprintf("apiVersion: envladder.dev/v1alpha1\nkind: Recall\nmetadata: {name: load}\nspec: {digests: [%q], reason: load}\n", digest))
}

// deleteRecall deletes the Recall.
func (w *fixture) deleteRecall(ctx context.Context) error {
	return w.cluster.Dynamic().Resource(recalls).Delete(ctx, "load", metav1.DeleteOptions{})
}

// createProven creates the admitted subjects without a dry run, so that their evidence is
// cached from then on.
func (w *fixture) createProven(ctx context.Context) error {
	for _, s := range w.currentSubjects() {
		if err := w.await(ctx, s); err != nil {
			return err
		}
		if s.never {
			continue
		}
		if err := w.create(ctx, deploymentOf(s.image), nil); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// proveAnother proves a digest that was never requested. It must be admitted without restarting
// anything, and stay admitted.
func (w *fixture) proveAnother(ctx context.Context) error {
	i, err := w.pushProven(ctx, "shop/web")
	if err != nil {
		return err
	}
	s := &subject{name: "proven", image: i.Ref()}
	if err := w.await(ctx, s); err != nil {
		return err
	}
	w.add(s)
	return nil
}
