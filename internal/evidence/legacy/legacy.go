// Package legacy verifies with sigstore's policy-controller whether an image is signed or
// attested in the form of cosign 2 (tags that end in .sig and .att), and whether an existing
// ClusterImagePolicy admits it. It alone imports policy-controller, which pulls in over a
// thousand packages.
//
// internal/evidence finds the signers and parses the statements.
package legacy

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/policy-controller/pkg/apis/config"
	"github.com/sigstore/policy-controller/pkg/apis/policy/v1alpha1"
	"github.com/sigstore/policy-controller/pkg/webhook"
	"github.com/sigstore/policy-controller/pkg/webhook/clusterimagepolicy"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"knative.dev/pkg/apis"
	"knative.dev/pkg/logging"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
)

// Verifier verifies with the code of policy-controller. It is safe for concurrent use.
type Verifier struct {
	client *registry.Client
	trust  *evidence.Trust
}

var _ evidence.Legacy = (*Verifier)(nil)

// New returns a Verifier that reads registries with client, within its limits, and finds
// trusted roots with trust.
func New(client *registry.Client, trust *evidence.Trust) *Verifier {
	return &Verifier{client: client, trust: trust}
}

// authorityName is the name of the only authority of a signer.
const authorityName = "signer"

// attested are the predicate types to verify: policy-controller verifies one type at a time.
var attested = []string{
	gate.PredicateSPDX, gate.PredicateCycloneDX, gate.PredicateProvenance, gate.PredicateTest, gate.PredicateSoak, gate.PredicateApproval,
}

// Signed returns the statements that a signer signed about an image in the form of cosign 2.
// Finding none is no error; failing to read them is.
func (v *Verifier) Signed(ctx context.Context, image gate.Image, signer evidence.LegacySigner) ([]evidence.LegacyClaim, error) {
	authority, ctx, err := authorityOf(ctx, signer)
	if err != nil {
		return nil, err
	}
	reference, err := name.NewDigest(image.Repository + "@" + image.Digest)
	if err != nil {
		return nil, fmt.Errorf("parsing image reference: %w", err)
	}
	ctx = quiet(ctx)
	access, options, err := v.access(ctx, image)
	if err != nil {
		return nil, err
	}
	defer access.Close()
	var mu sync.Mutex
	var claims []evidence.LegacyClaim
	add := func(more []evidence.LegacyClaim) {
		mu.Lock()
		defer mu.Unlock()
		claims = append(claims, more...)
	}
	// policy-controller reports both missing and unreadable content as errors: access
	// distinguishes the two.
	var group errgroup.Group
	begin := func(ask func() error) { group.Go(func() error { return panics.Catch(ask) }) }
	begin(func() error {
		found, err := webhook.ValidatePolicySignaturesForAuthority(ctx, reference, authority, options...)
		if err == nil {
			add(signatures(found))
		}
		return nil
	})
	for _, predicateType := range attested {
		begin(func() error {
			asked := authority
			asked.Attestations = []clusterimagepolicy.AttestationPolicy{{Name: predicateType, PredicateType: predicateType}}
			found, err := webhook.ValidatePolicyAttestationsForAuthority(ctx, reference, asked, options...)
			if err == nil {
				add(attestations(predicateType, found[predicateType]))
			}
			return nil
		})
	}
	err = group.Wait() // a panic; there are no other errors
	return claims, errors.Join(err, access.Err())
}

func signatures(found []webhook.PolicySignature) []evidence.LegacyClaim {
	claims := make([]evidence.LegacyClaim, len(found))
	for i, one := range found {
		claims[i] = evidence.LegacyClaim{PredicateType: gate.PredicateSignature, Identity: one.Subject, Source: one.ID}
	}
	return claims
}

func attestations(predicateType string, found []webhook.PolicyAttestation) []evidence.LegacyClaim {
	claims := make([]evidence.LegacyClaim, len(found))
	for i, one := range found {
		claims[i] = evidence.LegacyClaim{PredicateType: predicateType, Identity: one.Subject, Source: one.Digest, Statement: one.Payload}
	}
	return claims
}

// quiet disables policy-controller's log, which has whole attestations, which anyone can write.
// Its result is in the verdict.
func quiet(ctx context.Context) context.Context {
	return logging.WithLogger(ctx, zap.NewNop().Sugar())
}

// access returns options for cosign's client to read registries as ours does.
func (v *Verifier) access(ctx context.Context, image gate.Image) (*registry.BudgetedTransport, []ociremote.Option, error) {
	repositories := []string{image.Repository}
	if image.Evidence != "" {
		repositories = append(repositories, image.Evidence)
	}
	access, err := v.client.BudgetedTransport(repositories...)
	if err != nil {
		return nil, nil, err
	}
	options := []ociremote.Option{ociremote.WithRemoteOptions(access.Options(ctx)...)}
	if image.Evidence != "" {
		kept, err := name.NewRepository(image.Evidence)
		if err != nil {
			return nil, nil, fmt.Errorf("parsing repository %q: %w", image.Evidence, err)
		}
		options = append(options, ociremote.WithTargetRepository(kept))
	}
	return access, options, nil
}

// authorityOf returns policy-controller's authority for a signer.
func authorityOf(ctx context.Context, signer evidence.LegacySigner) (clusterimagepolicy.Authority, context.Context, error) {
	authority := clusterimagepolicy.Authority{Name: authorityName}
	if signer.Key != nil {
		authority.Key = &clusterimagepolicy.KeyRef{PublicKeys: []crypto.PublicKey{signer.Key}, HashAlgorithmCode: crypto.SHA256}
		return authority, ctx, nil
	}
	root, err := parseRoot(signer.Root)
	if err != nil {
		return clusterimagepolicy.Authority{}, nil, err
	}
	authority.Keyless = &clusterimagepolicy.KeylessRef{
		URL:               apis.HTTPS("fulcio"), // only its presence is checked
		TrustRootRef:      authorityName,
		InsecureIgnoreSCT: new(len(root.GetCtlogs()) == 0),
	}
	for _, identity := range signer.Identities {
		authority.Keyless.Identities = append(authority.Keyless.Identities, v1alpha1.Identity{
			Issuer: identity.Issuer, Subject: identity.Subject, SubjectRegExp: identity.SubjectPattern,
		})
	}
	// As for bundles, everything that the root can verify is required.
	switch {
	case len(root.GetTlogs()) > 0:
		authority.CTLog = &v1alpha1.TLog{TrustRootRef: authorityName}
	case len(root.GetTimestampAuthorities()) > 0:
		authority.RFC3161Timestamp = &clusterimagepolicy.RFC3161Timestamp{TrustRootRef: authorityName}
	default:
		return clusterimagepolicy.Authority{}, nil, errors.New("its trusted root has neither logs nor timestamping authorities")
	}
	return authority, withRoots(ctx, map[string]*prototrustroot.TrustedRoot{authorityName: root}), nil
}

func parseRoot(content []byte) (*prototrustroot.TrustedRoot, error) {
	root := &prototrustroot.TrustedRoot{}
	if err := protojson.Unmarshal(content, root); err != nil {
		return nil, fmt.Errorf("reading its trusted root: %w", err)
	}
	return root, nil
}

// withRoots returns a context in which policy-controller finds these trusted roots as its
// TrustRoots.
func withRoots(ctx context.Context, roots map[string]*prototrustroot.TrustedRoot) context.Context {
	return config.ToContext(ctx, &config.Config{SigstoreKeysConfig: &config.SigstoreKeysMap{SigstoreKeys: roots}})
}

// reencode encodes and decodes a policy, as policy-controller's reconciler does: decoding
// parses keys and repositories.
func reencode(from *clusterimagepolicy.ClusterImagePolicy) (clusterimagepolicy.ClusterImagePolicy, error) {
	var into clusterimagepolicy.ClusterImagePolicy
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, &into)
	}
	return into, err
}

// roots returns the trusted roots that a policy's authorities name.
func (v *Verifier) roots(ctx context.Context, policy *v1alpha1.ClusterImagePolicy) (map[string]*prototrustroot.TrustedRoot, error) {
	contents, err := v.rootsJSON(ctx, policy)
	roots := map[string]*prototrustroot.TrustedRoot{}
	for name, content := range contents {
		if roots[name], err = parseRoot(content); err != nil {
			return nil, fmt.Errorf("ClusterImagePolicy %q: %w", policy.Name, err)
		}
	}
	return roots, err
}

func (v *Verifier) rootsJSON(ctx context.Context, policy *v1alpha1.ClusterImagePolicy) (map[string]json.RawMessage, error) {
	var names []string
	for _, authority := range policy.Spec.Authorities {
		if authority.Keyless != nil {
			names = append(names, authority.Keyless.TrustRootRef)
			if authority.Keyless.TrustRootRef == "" {
				return nil, fmt.Errorf("ClusterImagePolicy %q: authority %q relies on sigstore's public root: name a trusted root (trustRootRef)", policy.Name, authority.Name)
			}
		}
		if authority.CTLog != nil {
			names = append(names, authority.CTLog.TrustRootRef)
		}
		if authority.RFC3161Timestamp != nil {
			names = append(names, authority.RFC3161Timestamp.TrustRootRef)
		}
	}
	slices.Sort(names)
	contents := map[string]json.RawMessage{}
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		content, err := v.trust.RootJSON(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("ClusterImagePolicy %q: %w", policy.Name, err)
		}
		contents[name] = content
	}
	return contents, nil
}
