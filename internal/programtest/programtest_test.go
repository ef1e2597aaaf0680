package programtest_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/programtest"
)

// recorder is a testing.TB that records how a test ends.
type recorder struct {
	testing.TB
	end string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.end = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.end = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestCosign(t *testing.T) {
	const advice = "needs cosign: run `make test`, or `make build` and set COSIGN=\"$(bin/bed path cosign)\""
	for name, tc := range map[string]struct{ cosign, skip, want string }{
		"with the variable":                       {cosign: "/cosign", want: "/cosign"},
		"without the variable the test skips":     {want: "skipped: " + advice},
		"without the variable the test must fail": {skip: "never", want: "failed: " + advice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("COSIGN", tc.cosign)
			t.Setenv("ENVLADDER_SKIP", tc.skip)
			r := &recorder{}
			done := make(chan struct{})
			go func() {
				defer close(done)
				r.end = programtest.Cosign(r)
			}()
			<-done
			if diff := cmp.Diff(tc.want, r.end); diff != "" {
				t.Errorf("unexpected end (-want +got):\n%s", diff)
			}
		})
	}
}
