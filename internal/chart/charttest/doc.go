// Package charttest has small charts for tests.
package charttest
