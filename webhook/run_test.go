package webhook

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestWatchFailureIsLogged checks that a webhook which may not list Recalls logs that.
func TestWatchFailureIsLogged(t *testing.T) {
	env := startedEnv(t)
	cluster := rest.CopyConfig(env.Admin)
	cluster.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	logs := &logtest.Buffer{}
	manager, err := newManager(Config{Cluster: cluster, Log: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { cancel(); <-ended }()
	if _, err := manager.GetCache().GetInformer(ctx, policycache.NewObject(policycache.RecallKind), cache.BlockUntilSynced(false)); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- runManager(ctx, manager) }()
	if err := webhooktest.WaitUntil(func() bool {
		text := logs.String()
		return strings.Contains(text, "cannot watch the cluster") && strings.Contains(text, "Recall") && strings.Contains(text, "forbidden")
	}); err != nil {
		t.Errorf("the log doesn't report that Recalls can't be watched:\n%s", logs)
	}
}
