package legacy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/policy-controller/pkg/apis/glob"
	"github.com/sigstore/policy-controller/pkg/apis/policy/v1alpha1"
	"github.com/sigstore/policy-controller/pkg/webhook"
	"github.com/sigstore/policy-controller/pkg/webhook/clusterimagepolicy"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/gate"
)

// Admits returns the reason why a ClusterImagePolicy (JSON or YAML, v1alpha1 or v1beta1)
// doesn't admit an image, or "" if it does. It returns an error if the policy couldn't be
// evaluated.
func (v *Verifier) Admits(ctx context.Context, document []byte, image gate.Image) (refused string, err error) {
	policy, err := v.read(ctx, document)
	if err != nil {
		return "", err
	}
	if about, err := isAbout(policy, image.Repository); err != nil || !about {
		return "it is about other images", err
	}
	roots, err := v.roots(ctx, policy)
	if err != nil {
		return "", err
	}
	inner, err := reencode(clusterimagepolicy.ConvertClusterImagePolicyV1alpha1ToWebhook(policy))
	if err != nil {
		return "", fmt.Errorf("ClusterImagePolicy %q: %w", policy.Name, err)
	}
	reference, err := name.NewDigest(image.Repository + "@" + image.Digest)
	if err != nil {
		return "", fmt.Errorf("parsing image reference: %w", err)
	}
	ctx = quiet(ctx)
	access, options, err := v.access(ctx, image)
	if err != nil {
		return "", err
	}
	defer access.Close()
	result, errs := webhook.ValidatePolicy(withRoots(ctx, roots), "", reference, inner, access.Keychain(), options...)
	if result != nil {
		return "", nil
	}
	if err := access.Err(); err != nil {
		return "", err
	}
	return reasons(errs), nil
}

// Resolve returns a ClusterImagePolicy with the keys of a KMS and the trusted roots that it
// names.
func (v *Verifier) Resolve(ctx context.Context, document []byte) ([]byte, error) {
	policy, err := v.read(ctx, document)
	if err != nil {
		return nil, err
	}
	roots, err := v.rootsJSON(ctx, policy)
	if err != nil {
		return nil, err
	}
	resolved, err := json.Marshal(map[string]any{"spec": policy.Spec, "roots": roots})
	if err != nil {
		return nil, fmt.Errorf("encoding ClusterImagePolicy %q: %w", policy.Name, err)
	}
	return resolved, nil
}

// read parses a policy that is supported here, and resolves its keys in a KMS.
func (v *Verifier) read(ctx context.Context, document []byte) (*v1alpha1.ClusterImagePolicy, error) {
	policy := &v1alpha1.ClusterImagePolicy{}
	if err := yaml.UnmarshalStrict(document, policy); err != nil {
		return nil, fmt.Errorf("reading the ClusterImagePolicy: %w", err)
	}
	policy.SetDefaults(ctx)
	if err := v.prepare(ctx, policy); err != nil {
		return nil, fmt.Errorf("ClusterImagePolicy %q: %w", policy.Name, err)
	}
	return policy, nil
}

// reasons returns policy-controller's errors in one line.
func reasons(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = strings.Join(strings.Fields(err.Error()), " ")
	}
	if len(texts) == 0 {
		return "none of its authorities is satisfied"
	}
	return strings.Join(texts, "; ")
}

// prepare resolves keys in a KMS, and rejects fields that only policy-controller's webhook can
// evaluate: ignoring them would admit images that the policy denies.
func (v *Verifier) prepare(ctx context.Context, policy *v1alpha1.ClusterImagePolicy) error {
	spec := &policy.Spec
	if len(spec.Match) > 0 {
		return errors.New("it selects resources (match), which isn't judged here")
	}
	if err := policy.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		return err
	}
	if err := checkSelfContained(spec.Policy); err != nil {
		return err
	}
	for i := range spec.Authorities {
		for _, attestation := range spec.Authorities[i].Attestations {
			if err := checkSelfContained(attestation.Policy); err != nil {
				return fmt.Errorf("authority %q: attestation %q: %w", spec.Authorities[i].Name, attestation.Name, err)
			}
		}
		for _, source := range spec.Authorities[i].Sources {
			if len(source.SignaturePullSecrets) > 0 {
				return fmt.Errorf("authority %q has signaturePullSecrets: registries are read with the webhook's own credentials", spec.Authorities[i].Name)
			}
		}
		if err := v.key(ctx, spec.Authorities[i].Key); err != nil {
			return fmt.Errorf("authority %q: %w", spec.Authorities[i].Name, err)
		}
	}
	return nil
}

// checkSelfContained rejects a policy in CUE or Rego that is stored elsewhere:
// policy-controller's reconciler fetches it, and its verification treats a missing policy as
// one that admits everything. It also rejects a policy that uses more than the attestations.
func checkSelfContained(policy *v1alpha1.Policy) error {
	switch {
	case policy == nil:
		return nil
	case policy.ConfigMapRef != nil || policy.Remote != nil:
		return errors.New("its policy is elsewhere (configMapRef, remote): put it into the ClusterImagePolicy (data)")
	case isSet(policy.FetchConfigFile):
		return errors.New("its policy uses the image's configuration (fetchConfigFile), whose size isn't bounded")
	case isSet(policy.IncludeSpec) || isSet(policy.IncludeObjectMeta) || isSet(policy.IncludeTypeMeta):
		return errors.New("its policy uses the object (includeSpec, includeObjectMeta, includeTypeMeta), which isn't judged here")
	default:
		return nil
	}
}

func isSet(flag *bool) bool { return flag != nil && *flag }

func (v *Verifier) key(ctx context.Context, key *v1alpha1.KeyRef) error {
	switch {
	case key == nil:
		return nil
	case key.SecretRef != nil:
		return errors.New("its key is in a Secret: put the public key into the policy (key.data)")
	case key.KMS == "":
		return nil
	}
	pem, err := v.trust.KMSPublicPEM(ctx, key.KMS)
	key.Data, key.KMS = pem, ""
	return err
}

// isAbout reports whether one of the policy's patterns matches a repository, as
// policy-controller compares them.
func isAbout(policy *v1alpha1.ClusterImagePolicy, repository string) (bool, error) {
	parsed, err := name.NewRepository(repository)
	if err != nil {
		return false, fmt.Errorf("parsing repository %q: %w", repository, err)
	}
	for _, image := range policy.Spec.Images {
		matched, err := glob.Match(image.Glob, parsed.Name())
		if err != nil {
			return false, fmt.Errorf("ClusterImagePolicy %q: %w", policy.Name, err)
		}
		if matched {
			return true, nil
		}
	}
	return false, nil
}
