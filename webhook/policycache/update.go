package policycache

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/panics"
)

// SetGate stores a Gate as the cluster has it.
func (c *Cache) SetGate(u *unstructured.Unstructured) {
	g := ReadGate(u)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gates[u.GetName()] = g
	c.log.Info("read Gate", "gate", g.Name, "generation", g.Generation, "namespaces", g.Spec.Namespaces, "problems", len(g.Problems()))
}

// DeleteGate removes a Gate.
func (c *Cache) DeleteGate(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.gates, name)
	c.log.Info("Gate was deleted", "gate", name)
}

// SetRecall stores a Recall as the cluster has it, or why it can't be decoded.
func (c *Cache) SetRecall(u *unstructured.Unstructured) {
	recall, err := decode(u, v1alpha1.RecallFrom)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recallList = nil
	delete(c.unreadableRecalls, u.GetName())
	delete(c.recalls, u.GetName())
	if err != nil {
		c.unreadableRecalls[u.GetName()] = err
		c.log.Error("cannot read Recall; all namespaces with a Gate deny until it is fixed", "recall", u.GetName(), "error", err)
		return
	}
	c.recalls[u.GetName()] = *recall
	c.log.Info("read Recall", "recall", recall.Name, "digests", len(recall.Spec.Digests))
}

// DeleteRecall removes a Recall.
func (c *Cache) DeleteRecall(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recallList = nil
	delete(c.recalls, name)
	delete(c.unreadableRecalls, name)
	c.log.Info("Recall was deleted", "recall", name)
}

// SetException stores an Exception as the cluster has it. One that can't be decoded
// replaces an earlier one of its name and exempts nothing.
func (c *Cache) SetException(u *unstructured.Unstructured) {
	exception, err := decode(u, v1alpha1.ExceptionFrom)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exceptionList = nil
	delete(c.exceptions, u.GetName())
	if err != nil {
		c.log.Error("cannot read Exception; it exempts nothing", "exception", u.GetName(), "error", err)
		return
	}
	c.exceptions[u.GetName()] = *exception
	c.log.Info("read Exception", "exception", exception.Name, "digest", exception.Spec.Digest,
		"namespaces", exception.Spec.Namespaces, "expiresAt", exception.Spec.ExpiresAt.Time)
}

// DeleteException removes an Exception.
func (c *Cache) DeleteException(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exceptionList = nil
	delete(c.exceptions, name)
	c.log.Info("Exception was deleted", "exception", name)
}

// decode decodes an object. A panic becomes an error: in an informer's goroutine it would
// end the webhook.
func decode[T any](u *unstructured.Unstructured, from func(map[string]any) (*T, error)) (*T, error) {
	return panics.CatchResult(func() (*T, error) { return from(u.Object) })
}
