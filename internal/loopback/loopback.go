// Package loopback knows which hosts are this machine, or this pod, itself: plain HTTP to
// them crosses no network.
package loopback

import "net/netip"

// IsHost reports whether a host, a name or an address without its port, is a loopback one.
func IsHost(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.Zone() == "" && address.Unmap().IsLoopback())
}
