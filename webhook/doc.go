// Package webhook is the validating admission webhook: AdmissionReview in, verdict
// out. It knows the images of any object that starts pods, what an UPDATE changes, who
// makes pods on whose behalf, and which Gates guard a namespace. It leaves to
// internal/verdict what an image has proven.
//
// It fails closed: what it can't read, can't look up or can't decide in time is
// denied with a reason, and so is everything before its Gates, Recalls and Exceptions are read.
package webhook
