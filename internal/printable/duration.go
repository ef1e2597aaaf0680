package printable

import (
	"strconv"
	"strings"
	"time"
)

const minDuration = time.Duration(-1 << 63)

// Duration returns a duration as people write it: 24h, 6h12m, 1h5s. It drops fractions of
// a second from one second on.
func Duration(d time.Duration) string {
	if d < 0 {
		if d == minDuration {
			d++ // its negation doesn't fit
		}
		return "-" + Duration(-d)
	}
	if d < time.Second {
		return d.String()
	}
	d = d.Truncate(time.Second)
	var text strings.Builder
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.size; n > 0 {
			text.WriteString(strconv.FormatInt(int64(n), 10) + unit.name)
			d %= unit.size
		}
	}
	return text.String()
}
