package printable_test

import (
	"math"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/printable"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour:                        "24h",
		6*time.Hour + 12*time.Minute:          "6h12m",
		time.Hour + 5*time.Second:             "1h5s",
		90 * time.Second:                      "1m30s",
		time.Second + 999*time.Millisecond:    "1s",
		0:                                     "0s",
		1500 * time.Microsecond:               "1.5ms",
		-90 * time.Second:                     "-1m30s",
		720 * time.Hour:                       "720h",
		time.Duration(math.MinInt64):          "-2562047h47m16s",
		time.Duration(math.MaxInt64):          "2562047h47m16s",
		24*time.Hour + 500*time.Millisecond/2: "24h",
	} {
		if got := printable.Duration(d); got != want {
			t.Errorf("Duration(%d) is %q, want %q", d, got, want)
		}
	}
}
