package chart

// Finish is finish.
func (ms Manifests) Finish(r Recipe) (Manifests, error) { return ms.finish(r) }
