// Package observertest has what the tests of the observer's packages share: samples of a
// digest, histories that are drawn at random, and a pod template.
package observertest
