// Package promotetest has what tests of promotions need: real Git repositories, served
// over HTTP by git itself, and a forge with Gitea's API.
package promotetest
