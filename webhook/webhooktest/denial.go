package webhooktest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/envladder/envladder/internal/gate"
)

// WantCodes checks that a request to the API server was denied with just these codes, or
// admitted if there are none. Any other failure ends the test.
func WantCodes(t *testing.T, err error, want ...gate.Code) metav1.Status {
	t.Helper()
	codes, status := denial(t, err)
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Fatalf("codes of the denial (-want +got):\n%s\n%s", diff, status.Message)
	}
	return status
}

// denial returns the codes of a denied request, none if it was admitted.
func denial(t *testing.T, err error) (codes []gate.Code, status metav1.Status) {
	t.Helper()
	if err == nil {
		return nil, metav1.Status{}
	}
	var denied *apierrors.StatusError
	if !errors.As(err, &denied) || !strings.Contains(err.Error(), `admission webhook "validate.envladder.dev" denied the request`) {
		t.Fatalf("the request failed, and the webhook didn't deny it: %v", err)
	}
	status = denied.ErrStatus
	if status.Details == nil || len(status.Details.Causes) == 0 {
		t.Fatalf("the denial has no causes: %v", err)
	}
	for _, cause := range status.Details.Causes {
		codes = append(codes, gate.Code(cause.Type))
	}
	return codes, status
}

// Unreachable reports whether a request failed because the API server couldn't call the
// webhook.
func Unreachable(err error) bool {
	return err != nil && strings.Contains(err.Error(), `failed calling webhook "validate.envladder.dev"`)
}

// WaitUntil waits at most half a minute for a condition.
func WaitUntil(condition func() bool) error {
	return wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
}
