// Package printable prepares values for people: text from an untrusted source becomes safe
// for a terminal, a log line or an error, and durations read the way people write them.
package printable
