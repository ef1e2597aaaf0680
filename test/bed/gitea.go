package bed

import "context"

// Gitea stub
type Gitea struct{}

func (b *Bed) startGitea(ctx context.Context) error { return nil }
