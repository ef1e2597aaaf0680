package registry

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// get reads an answer by an BudgetedTransport.
func (a *BudgetedTransport) get(t *testing.T, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// TestBudgetedTransportBoundsLibraries, by each BudgetedTransport and by all together.
func TestBudgetedTransportBoundsLibraries(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, MaxBlob))
	}))
	t.Cleanup(server.Close)
	client := NewClient()
	open := func() *BudgetedTransport {
		t.Helper()
		access, err := client.BudgetedTransport(strings.TrimPrefix(server.URL, "http://") + "/shop/web")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(access.Close)
		return access
	}
	fill := func(a *BudgetedTransport) (err error) {
		t.Helper()
		for range maxBudget/MaxBlob + 1 {
			if err = a.get(t, server.URL); err != nil {
				break
			}
		}
		return err
	}
	first, second, third := open(), open(), open()
	for _, access := range []*BudgetedTransport{first, second} {
		if err := fill(access); !errors.Is(err, ErrTooLarge) || !errors.Is(access.Err(), ErrTooLarge) {
			t.Fatalf("more than its bound is read: %v", err)
		}
	}
	if err := fill(third); !errors.Is(err, errNoRoom) {
		t.Errorf("with two that are full a third one reads: %v", err)
	}
	first.Close()
	if err := open().get(t, server.URL); err != nil {
		t.Errorf("after one is closed: %v", err)
	}
	if err := first.get(t, server.URL); err == nil {
		t.Error("one that is closed reads on")
	}
}
