package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/envladder/envladder/bench/internal/harness"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gate/gatetest"
)

const (
	// comparedImages is the number of images that requests use in turn.
	comparedImages = 16
	// pushers is how many images are pushed at once. Attaching to a registry without the
	// referrers API is mostly waiting.
	pushers = 64
	// password is the password of the keys, which exist only during the run.
	password = "bench"
)

// makeKeys generates the keys with cosign, which signs with them too.
func (w *fixture) makeKeys(ctx context.Context) error {
	w.keys = map[string]*evidence.Signer{}
	for _, name := range []string{"ci", "observer"} {
		prefix := filepath.Join(w.folder, name)
		if err := w.runCosign(ctx, "generate-key-pair", "--output-key-prefix", prefix); err != nil {
			return err
		}
		pem, err := os.ReadFile(prefix + ".key")
		if err != nil {
			return err
		}
		if w.keys[name], err = evidence.ReadSigner(pem, func() ([]byte, error) { return []byte(password), nil }); err != nil {
			return err
		}
	}
	return nil
}

// runCosign runs cosign and returns its output in the error.
func (w *fixture) runCosign(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, w.cosign, arguments...)
	command.Env = []string{"COSIGN_PASSWORD=" + password, "HOME=" + w.folder, "PATH=" + os.Getenv("PATH")}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cosign %s: %w\n%s", arguments[0], err, output)
	}
	return nil
}

// pushImages pushes all images to distribution, except those of measureKnown. The compared
// images have their signature and their soak twice: as bundles, and in the format of cosign 2.
func (w *fixture) pushImages(ctx context.Context) error {
	repository := w.registries.plain + "/shop/web"
	var err error
	if w.compared, err = w.pushProven(ctx, comparedImages, func(int) string { return repository }); err != nil {
		return err
	}
	predicate := filepath.Join(w.folder, "soak.json")
	for _, image := range w.compared {
		soak, err := json.Marshal(soakOf(image))
		if err != nil {
			return err
		}
		if err := os.WriteFile(predicate, soak, 0o600); err != nil {
			return err
		}
		legacy := []string{"--yes", "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false"}
		sign := append([]string{"sign", "--key", filepath.Join(w.folder, "ci.key")}, legacy...)
		attest := append([]string{"attest", "--key", filepath.Join(w.folder, "observer.key"), "--type", gate.PredicateSoak, "--predicate", predicate}, legacy...)
		if err := errors.Join(w.runCosign(ctx, append(sign, image)...), w.runCosign(ctx, append(attest, image)...)); err != nil {
			return err
		}
	}
	w.newImages, err = w.pushProven(ctx, 1+2*w.cold*len(w.clients), func(n int) string { return repository + strconv.Itoa(n%pushers) })
	return err
}

// pushProven pushes images, each with a signature and a soak, and returns their references.
func (w *fixture) pushProven(ctx context.Context, count int, repository func(n int) string) ([]string, error) {
	references := make([]string, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	began := time.Now()
	for n := range references {
		group.Go(func() (err error) {
			references[n], err = w.pushOne(ctx, repository(n), n)
			return err
		})
	}
	err := group.Wait()
	fmt.Fprintf(os.Stderr, "pushed %d images in %s\n", count, harness.Round(time.Since(began)))
	return references, err
}

// pushOne pushes one image with a signature and a soak, and returns its reference.
func (w *fixture) pushOne(ctx context.Context, repository string, n int) (string, error) {
	digest, err := pushImage(ctx, repository, n)
	if err != nil {
		return "", fmt.Errorf("pushing an image to %s: %w", repository, err)
	}
	target, err := evidence.FindTarget(ctx, w.reads, repository, digest)
	if err != nil {
		return "", err
	}
	reference := repository + "@" + digest
	for _, attestation := range []struct {
		key, predicateType string
		predicate          any
	}{
		{"ci", gate.PredicateSignature, map[string]any{}},
		{"observer", gate.PredicateSoak, soakOf(reference)},
	} {
		if _, err := evidence.Attest(ctx, w.reads, w.keys[attestation.key], target, attestation.predicateType, attestation.predicate); err != nil {
			return "", err
		}
	}
	return reference, nil
}

// pushImage pushes an image that has a config and no layers; its content doesn't matter here.
func pushImage(ctx context.Context, repository string, n int) (digest string, err error) {
	host, path, _ := strings.Cut(repository, "/")
	api := "http://" + host + "/v2/" + path
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers"},"author":"bench %d"}`, n)
	const configType, manifestType = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.manifest.v1+json"
	upload, err := send(ctx, http.MethodPost, api+"/blobs/uploads/", "", nil)
	if err != nil {
		return "", err
	}
	blob := upload.Query()
	blob.Set("digest", digestOf(config))
	upload.RawQuery = blob.Encode()
	if _, err := send(ctx, http.MethodPut, upload.String(), "application/octet-stream", config); err != nil {
		return "", err
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		manifestType, configType, digestOf(config), len(config))
	digest = digestOf(manifest)
	_, err = send(ctx, http.MethodPut, api+"/manifests/"+digest, manifestType, manifest)
	return digest, err
}

// digestOf returns the SHA-256 digest of the content.
func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// pusher is a client that reuses its connections.
var pusher = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pushers}}

// send sends a request that must succeed, and returns the Location of the response.
func send(ctx context.Context, method, address, mediaType string, body []byte) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := pusher.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, address, response.Status, answer)
	}
	location, err := response.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return nil, nil
	}
	return location, err
}

// soakOf returns the soak of an image that was healthy for 25 hours.
func soakOf(reference string) gate.Soak {
	return gatetest.Soak("bench", reference, 25*time.Hour, 0)
}
