// Package webhook runs the validating admission webhook: it puts its parts together, serves
// reviews over TLS, and counts what happens.
//
// A request passes through the parts in one direction:
//
//	request -> rollout -> policycache, evidencecache -> internal/verdict -> admission
//
// Package gatestatus writes the status of Gates with the same policies, and certs provides
// the serving certificate.
package webhook
