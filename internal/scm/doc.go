// Package scm reads and opens pull requests of a forge: Gitea (and Forgejo) and GitHub.
// Only this package uses the forges' APIs. Everything that it reads is bounded, and a list
// that can't be read completely is an error.
//
// Pull requests are interpreted by the callers: as previews by appset-generator, as
// promotions by promote. All texts of a pull request are untrusted.
package scm
