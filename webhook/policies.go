package webhook

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

// policyKind is read in the version that policy-controller's CRD stores: another one
// would be converted by policy-controller's own webhook, and be gone with it.
var policyKind = schema.GroupVersionKind{Group: "policy.sigstore.dev", Version: "v1alpha1", Kind: "ClusterImagePolicy"}

// policies reads the cluster's ClusterImagePolicies. They aren't followed: most clusters
// don't have the kind, and a watch of it would keep the webhook from being ready there.
type policies struct {
	api client.Reader
}

// named are the ClusterImagePolicies that Gates name, by their names, without those that
// aren't there; and why those that can't be read can't.
func (p policies) named(ctx context.Context, gates []verdict.Gate) (documents map[string][]byte, unread map[string]error) {
	documents, unread = map[string][]byte{}, map[string]error{}
	for _, name := range verdict.PolicyNames(gates) {
		document, err := p.read(ctx, name)
		if err != nil {
			unread[name] = fmt.Errorf("reading ClusterImagePolicy %q: %w", name, err)
			continue
		}
		documents[name] = document
	}
	return documents, unread
}

// read is a policy's document, nil where there is none.
func (p policies) read(ctx context.Context, name string) ([]byte, error) {
	var policy unstructured.Unstructured
	policy.SetGroupVersionKind(policyKind)
	switch err := p.api.Get(ctx, client.ObjectKey{Name: name}, &policy); {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return evidence.PolicyDocument(policy.Object, name)
}
