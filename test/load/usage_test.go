package load

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// usage is the webhook's use of resources, from its metrics.
type usage struct {
	goroutines, descriptors, memory int64
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", u.goroutines, u.descriptors, u.memory>>20)
}

// checkGrowth returns an error if the usage has grown more than allowed since before.
func (u usage) checkGrowth(before usage) error {
	var errs []error
	for _, figure := range []struct {
		name               string
		is, was, allowance int64
	}{
		{"goroutines", u.goroutines, before.goroutines, moreGoroutines},
		{"descriptors", u.descriptors, before.descriptors, moreDescriptors},
		{"bytes of memory", u.memory, before.memory, moreMemory},
	} {
		if figure.is > figure.was+figure.allowance {
			errs = append(errs, fmt.Errorf("%d %s, %d at the start", figure.is, figure.name, figure.was))
		}
	}
	return errors.Join(errs...)
}

// usage reads the webhook's metrics.
func (w *fixture) usage(t *testing.T) usage {
	t.Helper()
	response, err := http.Get(w.metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	figures := map[string]int64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			figures[name] = int64(number)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	u := usage{figures["go_goroutines"], figures["process_open_fds"], figures["process_resident_memory_bytes"]}
	if u.goroutines == 0 || u.descriptors == 0 || u.memory == 0 {
		t.Fatalf("metrics are missing: %+v", u)
	}
	return u
}
