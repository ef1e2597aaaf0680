// Package gatestatus writes the status of Gates: whether images are judged by them, whether
// signatures of their signers can be verified, and what runs in their namespaces that they
// would deny.
//
// It leaves judging to the audit.Judge that it is given, and admission doesn't depend on it.
package gatestatus
