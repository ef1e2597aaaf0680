package bed

import "context"

// ArgoCD stub
type ArgoCD struct{}

func (b *Bed) startArgoCD(ctx context.Context, v string) error { return nil }
