package registry

import (
	"net"
	"strings"
	"testing"
)

func TestDialPrivateAddressesOnlyByName(t *testing.T) {
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} { // an address, and a name for it
		d := newDialer(nil)
		if connection, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port)); err == nil || !strings.Contains(err.Error(), "--registry-private-host") {
			t.Errorf("%s: %v, %v", host, connection, err)
		}
		d.allow(net.JoinHostPort(host, port))
		connection, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s, asked for by name: %v", host, err)
			continue
		}
		_ = connection.Close()
	}
}

func TestDialAllowsPrivateProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.corp.example:3128")
	if d := newDialer([]string{"minio.corp.example"}); !d.allows("proxy.corp.example") || !d.allows("minio.corp.example") || d.allows("corp.example") {
		t.Errorf("allowed are %v", d.hosts)
	}
}

func TestIsPrivate(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.0.1": true, "fd00::1": true,
		"169.254.169.254": true, "fe80::1": true, "0.0.0.0": true, "::": true, "::ffff:10.0.0.1": true, "::ffff:169.254.169.254": true,
		"100.64.0.1": true, "203.0.113.7": false, "2001:db8::1": false, "registry.example.com": false,
	} {
		if got := isPrivate(address); got != want {
			t.Errorf("%s is private: %v", address, got)
		}
	}
}
