// Package admission answers AdmissionReviews: it judges each image that a request would
// start by the Gates of its namespace, and denies what isn't proven.
//
// It leaves to webhook/rollout what a request would start, to webhook/policycache which
// Gates there are, and to internal/verdict what an image has proven.
//
// It fails closed: what can't be read, looked up or judged in time is denied with a reason,
// and so is everything before the Gates, Recalls and Exceptions are read.
package admission
