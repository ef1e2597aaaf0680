// Package scmtest serves pull requests as GitHub and Gitea do, for tests: the parts of
// their APIs that internal/scm uses, with their pages, headers, texts and errors.
//
// GitHub can't run in a test. Gitea can, and does in the end-to-end tests; here it is
// what lets a test break an answer where it wants to.
package scmtest
