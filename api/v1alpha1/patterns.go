package v1alpha1

// These are the types of strings that several fields share. They are aliases: Go code uses
// plain strings, and the API server checks the patterns.

// Label is a DNS label, such as the name of an environment or a namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
type Label = string

// RepositoryPattern is a repository, host/path without tag or digest, or with `*` as the
// last path element a pattern of repositories.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=255
// +kubebuilder:validation:XValidation:rule="self.matches('^(localhost|[a-zA-Z0-9-]+([.][a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:[0-9]{1,5}|[[][a-fA-F0-9:]+[]](:[0-9]{1,5})?)(:[0-9]{1,5})?(/[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)*/([*]|[a-z0-9]+((_|__|[.]|-+)[a-z0-9]+)*)$')",message="write host/path without tag or digest, the host in full (docker.io/library/…); only the last element may be `*`"
type RepositoryPattern = string

// Digest is sha256: and 64 lowercase hex digits.
//
// +kubebuilder:validation:MaxLength=71
// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
type Digest = string

// SignerName is the name of a signer of the same Gate.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
type SignerName = string
