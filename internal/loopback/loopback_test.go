package loopback_test

import (
	"net"
	"testing"

	"github.com/envladder/envladder/internal/loopback"
)

func TestIsHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost":             true,
		"127.0.0.1":             true,
		"127.8.8.8":             true,
		"::1":                   true,
		"::ffff:127.0.0.1":      true,
		"":                      false,
		"localhost.example.com": false,
		"127.0.0.1.example.com": false,
		"127.1":                 false,
		"0.0.0.0":               false,
		"10.0.0.1":              false,
		"::2":                   false,
		"127.0.0.1:5000":        false,
		"[::1]":                 false,
		"::1%eth0":              false,
	} {
		if got := loopback.IsHost(host); got != want {
			t.Errorf("IsHost(%q) is %t", host, got)
		}
	}
}

func FuzzIsHost(f *testing.F) {
	f.Add("127.0.0.1")
	f.Add("::ffff:127.0.0.1")
	f.Add("fe80::1%eth0")
	f.Fuzz(func(t *testing.T, host string) {
		if !loopback.IsHost(host) || host == "localhost" {
			return
		}
		if ip, err := net.ResolveIPAddr("ip", host); err != nil || !ip.IP.IsLoopback() {
			t.Errorf("%q is no loopback address: %v, %v", host, ip, err)
		}
	})
}
