package policycache

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/verdict"
)

// ImagePolicyKind is the kind of ClusterImagePolicies, in the version that
// policy-controller's CRD stores. Another version would be converted by
// policy-controller's own webhook, and be unavailable with it.
var ImagePolicyKind = schema.GroupVersionKind{Group: "policy.sigstore.dev", Version: "v1alpha1", Kind: "ClusterImagePolicy"}

// ImagePolicies reads ClusterImagePolicies from the API server. They aren't followed: most
// clusters don't have the kind, and a watch of it would keep the webhook from being ready
// there.
type ImagePolicies struct {
	api client.Reader
}

// NewImagePolicies returns ImagePolicies that are read from api.
func NewImagePolicies(api client.Reader) ImagePolicies { return ImagePolicies{api} }

// Named returns the ClusterImagePolicies that Gates name, by their names, without those
// that don't exist; and the errors of those that can't be read.
func (p ImagePolicies) Named(ctx context.Context, gates []verdict.Gate) (documents map[string][]byte, unreadable map[string]error) {
	documents, unreadable = map[string][]byte{}, map[string]error{}
	for _, name := range verdict.PolicyNames(gates) {
		document, err := p.get(ctx, name)
		if err != nil {
			unreadable[name] = fmt.Errorf("reading ClusterImagePolicy %q: %w", name, err)
			continue
		}
		documents[name] = document
	}
	return documents, unreadable
}

// get returns a policy's document, nil if there is none.
func (p ImagePolicies) get(ctx context.Context, name string) ([]byte, error) {
	var policy unstructured.Unstructured
	policy.SetGroupVersionKind(ImagePolicyKind)
	switch err := p.api.Get(ctx, client.ObjectKey{Name: name}, &policy); {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return evidence.PolicyDocument(policy.Object, name)
}
