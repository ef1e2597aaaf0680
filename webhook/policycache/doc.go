// Package policycache holds what images are judged by, as the cluster has it: Gates,
// Recalls and Exceptions, which informers follow, and ClusterImagePolicies and the
// cluster's UID, which are read when a Gate needs them.
//
// It leaves judging to internal/verdict.
package policycache
