// Package forge finds out where a promotion opens its pull requests: which kind of forge
// it is, its API's URL and the repository, from flags or from the URL of the Git remote,
// and the token. Pull requests themselves are internal/scm's.
package forge
