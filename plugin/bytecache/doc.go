// Package bytecache has a cache that is bounded by the bytes of its entries. The caller
// states the size of each entry.
package bytecache
