package evidencecache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
)

// Cache stores attestations in the cluster, one EvidenceCache object for each digest.
// evidence.Store reads it when its memory has nothing, before it queries the registry.
type Cache struct {
	client    client.Client
	namespace string
	secret    types.NamespacedName
	log       *slog.Logger
	limits    Limits

	mu  sync.Mutex
	key []byte // of verification records; nil until it was read
}

// Limits bound all EvidenceCache objects together.
type Limits struct {
	// Objects, one for each digest.
	Objects int
	// Bytes of all objects, by the size that each states in an annotation.
	Bytes int
}

// DefaultLimits hold the digests of two months if ten services are deployed ten times a
// day each, and take an eighth of etcd's default quota of 2 GiB. What runs is admitted, and
// so used, again and again.
var DefaultLimits = Limits{Objects: 5000, Bytes: 256 << 20}

const (
	// keyName is the Secret's entry with the key of verification records, and keySize the
	// key's length in bytes.
	keyName = "verification.key"
	keySize = 32
	// maxObjectSize is the largest object that etcd accepts.
	maxObjectSize = 1536 << 10
)

// New returns a Cache in a namespace. The Secret is for the key of verification records; it
// must exist, and may be empty. The account must have the rights to get, list, create,
// update and delete EvidenceCaches there, and to get and update the Secret.
func New(cluster *rest.Config, namespace, secret string, limits Limits, log *slog.Logger) (*Cache, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	config := rest.CopyConfig(cluster)
	config.QPS = -1 // the API server's priority and fairness protect it
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return &Cache{
		client: c, namespace: namespace, secret: types.NamespacedName{Namespace: namespace, Name: secret}, limits: limits, log: log,
	}, nil
}

// ObjectName returns the name of the object about a digest: a hash, because repositories
// have characters and lengths that names of objects must not have.
func ObjectName(repository, digest string) string {
	sum := sha256.Sum256([]byte(repository + "@" + digest))
	return "sha256-" + hex.EncodeToString(sum[:])[:48]
}

// Load implements evidence.ClusterCache.
func (c *Cache) Load(ctx context.Context, repository, digest string) ([]v1alpha1.CachedAttestation, error) {
	var object v1alpha1.EvidenceCache
	err := c.client.Get(ctx, types.NamespacedName{Namespace: c.namespace, Name: ObjectName(repository, digest)}, &object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		c.log.Warn("cannot read the evidence cache; querying the registry", "error", err)
		return nil, fmt.Errorf("reading EvidenceCache of %q: %w", repository+"@"+digest, err)
	}
	return evidence.Bounded(object.Spec.Attestations), nil
}

// Key implements evidence.ClusterCache. It generates the key if no replica has done so before.
func (c *Cache) Key(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.key != nil {
		return c.key, nil
	}
	var secret corev1.Secret
	if err := c.client.Get(ctx, c.secret, &secret); err != nil {
		return nil, fmt.Errorf("reading the key of verification records: %w", err)
	}
	key := secret.Data[keyName]
	if len(key) < keySize {
		key = make([]byte, keySize)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("generating the key of verification records: %w", err)
		}
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[keyName] = key
		if err := c.client.Update(ctx, &secret); err != nil { // a conflict: another replica has generated it
			return nil, fmt.Errorf("storing the key of verification records: %w", err)
		}
	}
	c.key = key
	return key, nil
}

// put stores attestations, before those that are stored already.
func (c *Cache) put(ctx context.Context, repository, digest string, attestations []v1alpha1.CachedAttestation) error {
	object := &v1alpha1.EvidenceCache{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: ObjectName(repository, digest)}}
	err := c.client.Get(ctx, client.ObjectKeyFromObject(object), object)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading EvidenceCache of %q: %w", repository+"@"+digest, err)
	}
	missing := apierrors.IsNotFound(err)
	if missing && len(attestations) == 0 {
		return nil
	}
	for _, old := range object.Spec.Attestations {
		if !slices.ContainsFunc(attestations, func(a v1alpha1.CachedAttestation) bool { return sameAttestation(a, old) }) {
			attestations = append(attestations, old)
		}
	}
	object.Spec = v1alpha1.EvidenceCacheSpec{Repository: repository, Digest: digest, Attestations: evidence.Bounded(attestations)}
	size := 0
	for _, attestation := range object.Spec.Attestations {
		size += evidence.SizeOf(attestation)
	}
	object.Annotations = map[string]string{
		v1alpha1.AnnotationLastUsed: time.Now().UTC().Format(time.RFC3339),
		v1alpha1.AnnotationSize:     strconv.Itoa(size),
	}
	if missing {
		err = c.client.Create(ctx, object)
	} else {
		err = c.client.Update(ctx, object)
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil // another replica stores the same, or the next admission does
	}
	if err != nil {
		return fmt.Errorf("storing EvidenceCache of %q: %w", repository+"@"+digest, err)
	}
	return nil
}

// sameAttestation reports whether two stored attestations come from the same bundle, and
// are recorded for the same signer.
func sameAttestation(a, b v1alpha1.CachedAttestation) bool {
	return a.Source == b.Source && (a.VerificationRecord == nil) == (b.VerificationRecord == nil) && (a.VerificationRecord == nil || a.VerificationRecord.Signer == b.VerificationRecord.Signer)
}

// Evict deletes the least recently used objects beyond the limits. Every replica evicts;
// they choose the same objects.
func (c *Cache) Evict(ctx context.Context) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("EvidenceCacheList"))
	if err := c.client.List(ctx, &list, client.InNamespace(c.namespace)); err != nil {
		return fmt.Errorf("listing EvidenceCaches: %w", err)
	}
	// Times sort as text; objects without a time are evicted first.
	slices.SortFunc(list.Items, func(a, b metav1.PartialObjectMetadata) int {
		return strings.Compare(b.Annotations[v1alpha1.AnnotationLastUsed], a.Annotations[v1alpha1.AnnotationLastUsed])
	})
	bytes, deleted := 0, 0
	var errs []error
	for i := range list.Items {
		size, err := strconv.Atoi(list.Items[i].Annotations[v1alpha1.AnnotationSize])
		if err != nil || size < 0 || size > maxObjectSize {
			size = maxObjectSize // no valid size: it may be as large as an object can be
		}
		if bytes += size; i < c.limits.Objects && bytes <= c.limits.Bytes {
			continue
		}
		deleted++
		errs = append(errs, client.IgnoreNotFound(c.client.Delete(ctx, &list.Items[i])))
	}
	if deleted > 0 {
		c.log.Info("evicted least recently used evidence", "objects", deleted)
	}
	return errors.Join(errs...)
}
