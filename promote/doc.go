// Package promote moves digests up the ladder: it writes pins, makes of a candidate a
// commit or a pull request with the Gate's verdict in it, and tells how the environments
// stand. Git is written to by internal/gitrepo, pull requests by internal/scm; whether a
// digest may run it asks internal/verdict, and decides nothing of that itself.
package promote
