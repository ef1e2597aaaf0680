// Package certs provides the webhook's serving certificate: it reads the certificate and
// its key from files, reads them again when they change, and can issue and renew the
// certificate itself.
//
// It leaves serving to package webhook.
package certs
