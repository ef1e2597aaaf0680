// Package webhooktest provides what the tests of the webhook's packages share: an API server
// with the webhook's manifests, a registry with signed images, Gates, objects that start
// pods, and admission requests.
//
// It imports none of the webhook's packages, so that their internal tests can import it.
package webhooktest
