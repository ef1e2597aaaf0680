package webhook

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

// Shelf keeps the attestations of admitted digests in the cluster, as Evidence. It is
// what evidence.Store looks at when its memory is empty and the registry may be down.
type Shelf struct {
	client    client.Client
	namespace string
	secret    types.NamespacedName
	log       *slog.Logger
	// maxObjects and maxBytes bound all Evidence together.
	maxObjects, maxBytes int

	mu  sync.Mutex
	key []byte
}

const (
	// maxObjects of Evidence: a digest each. Ten services that are deployed ten times a
	// day fill it in two months; what runs is admitted, and so used, again and again.
	maxObjects = 5000
	// maxObjectBytes of all Evidence: an eighth of etcd's default quota of 2 GiB.
	maxObjectBytes = 256 << 20
	// keyName is the Secret's entry with the key of verification records, and keySize its bytes.
	keyName = "verification.key"
	keySize = 32
)

// NewShelf returns a Shelf in a namespace. The Secret is for the key of verification records; it must
// be there, and may be empty. The account may get, list, create, update and delete
// Evidence there, and get and update the Secret.
func NewShelf(cluster *rest.Config, namespace, secret string, log *slog.Logger) (*Shelf, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	config := rest.CopyConfig(cluster)
	config.QPS = -1 // the API server's priority and fairness guards it
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return &Shelf{
		client: c, namespace: namespace, secret: types.NamespacedName{Namespace: namespace, Name: secret}, log: log,
		maxObjects: maxObjects, maxBytes: maxObjectBytes,
	}, nil
}

// nameOf is the name of the Evidence about a digest: repositories have characters and
// lengths that names may not have.
func nameOf(repository, digest string) string {
	sum := sha256.Sum256([]byte(repository + "@" + digest))
	return "sha256-" + hex.EncodeToString(sum[:])[:48]
}

// Load implements evidence.Shelf.
func (s *Shelf) Load(ctx context.Context, repository, digest string) ([]v1alpha1.CachedAttestation, error) {
	var kept v1alpha1.EvidenceCache
	err := s.client.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: nameOf(repository, digest)}, &kept)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		s.log.Warn("what is kept in the cluster can't be read; the registry is asked", "error", err)
		return nil, fmt.Errorf("reading the Evidence about %s@%s: %w", repository, digest, err)
	}
	return evidence.Bounded(kept.Spec.Attestations), nil
}

// Key implements evidence.Shelf. The first who needs it makes it.
func (s *Shelf) Key(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	var secret corev1.Secret
	if err := s.client.Get(ctx, s.secret, &secret); err != nil {
		return nil, fmt.Errorf("reading the key of verification records: %w", err)
	}
	key := secret.Data[keyName]
	if len(key) < keySize {
		key = make([]byte, keySize)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("making the key of verification records: %w", err)
		}
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[keyName] = key
		if err := s.client.Update(ctx, &secret); err != nil { // a conflict: another replica has made it
			return nil, fmt.Errorf("keeping the key of verification records: %w", err)
		}
	}
	s.key = key
	return key, nil
}

// put keeps attestations, what is kept already behind them.
func (s *Shelf) put(ctx context.Context, repository, digest string, kept []v1alpha1.CachedAttestation) error {
	object := &v1alpha1.EvidenceCache{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: nameOf(repository, digest)}}
	err := s.client.Get(ctx, client.ObjectKeyFromObject(object), object)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Evidence about %s@%s: %w", repository, digest, err)
	}
	missing := apierrors.IsNotFound(err)
	if missing && len(kept) == 0 {
		return nil
	}
	for _, old := range object.Spec.Attestations {
		if !slices.ContainsFunc(kept, func(k v1alpha1.CachedAttestation) bool { return same(k, old) }) {
			kept = append(kept, old)
		}
	}
	object.Spec = v1alpha1.EvidenceCacheSpec{Repository: repository, Digest: digest, Attestations: evidence.Bounded(kept)}
	size := 0
	for _, k := range object.Spec.Attestations {
		size += evidence.SizeOf(k)
	}
	object.Annotations = map[string]string{
		v1alpha1.AnnotationLastUsed: time.Now().UTC().Format(time.RFC3339),
		v1alpha1.AnnotationSize:     strconv.Itoa(size),
	}
	if missing {
		err = s.client.Create(ctx, object)
	} else {
		err = s.client.Update(ctx, object)
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return nil // another replica keeps the same, or it is kept with the next admission
	}
	if err != nil {
		return fmt.Errorf("keeping the Evidence about %s@%s: %w", repository, digest, err)
	}
	return nil
}

func same(a, b v1alpha1.CachedAttestation) bool {
	return a.Source == b.Source && (a.VerificationRecord == nil) == (b.VerificationRecord == nil) && (a.VerificationRecord == nil || a.VerificationRecord.Signer == b.VerificationRecord.Signer)
}

// collect deletes what was used longest ago while there is too much. Every replica does:
// they choose the same.
func (s *Shelf) collect(ctx context.Context) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("EvidenceCacheList"))
	if err := s.client.List(ctx, &list, client.InNamespace(s.namespace)); err != nil {
		return fmt.Errorf("listing Evidence: %w", err)
	}
	// Times are text that sorts; one without a time goes first.
	slices.SortFunc(list.Items, func(a, b metav1.PartialObjectMetadata) int {
		return strings.Compare(b.Annotations[v1alpha1.AnnotationLastUsed], a.Annotations[v1alpha1.AnnotationLastUsed])
	})
	bytes, deleted := 0, 0
	var errs []error
	for i := range list.Items {
		size, err := strconv.Atoi(list.Items[i].Annotations[v1alpha1.AnnotationSize])
		if err != nil || size < 0 || size > maxKeptObject {
			size = maxKeptObject // it doesn't say, so it may be as large as one can be
		}
		if bytes += size; i < s.maxObjects && bytes <= s.maxBytes {
			continue
		}
		deleted++
		errs = append(errs, client.IgnoreNotFound(s.client.Delete(ctx, &list.Items[i])))
	}
	if deleted > 0 {
		s.log.Info("let go of what was used longest ago", "evidence", deleted)
	}
	return errors.Join(errs...)
}

// maxKeptObject is what etcd takes of one object.
const maxKeptObject = 1536 << 10
