package gate

import "fmt"

// The codes of reasons.
const (
	// A requirement has no evidence.
	NoSignature  Code = "NoSignature"
	NoSBOM       Code = "NoSBOM"
	NoProvenance Code = "NoProvenance"
	NoSoak       Code = "NoSoak"
	NoTest       Code = "NoTest"
	NoApproval   Code = "NoApproval"

	// There is evidence, but it doesn't count.
	WrongSigner      Code = "WrongSigner"
	Undecodable      Code = "Undecodable"
	NoTrustedTime    Code = "NoTrustedTime"
	FromFuture       Code = "FromFuture"
	OtherChart       Code = "OtherChart"
	OtherEnvironment Code = "OtherEnvironment"
	OtherLadder      Code = "OtherLadder"
	OtherRepository  Code = "OtherRepository"
	OtherTemplate    Code = "OtherTemplate"
	NotProvenHere    Code = "NotProvenHere"
	OtherBuilder     Code = "OtherBuilder"
	OtherSource      Code = "OtherSource"
	SignerEnded      Code = "SignerEnded"
	PolicyRefused    Code = "PolicyRefused"

	// There is an exception, but it doesn't count.
	ExceptionElsewhere Code = "ExceptionElsewhere"
	ExceptionExpired   Code = "ExceptionExpired"
	ExceptionRefused   Code = "ExceptionRefused"
	ExceptionUnsigned  Code = "ExceptionUnsigned"

	// A soak isn't enough.
	SoakOpen         Code = "SoakOpen"
	SoakInconsistent Code = "SoakInconsistent"
	SoakTooShort     Code = "SoakTooShort"
	SoakTooOld       Code = "SoakTooOld"
	SoakGap          Code = "SoakGap"
	SoakRestarts     Code = "SoakRestarts"
	SoakFewPods      Code = "SoakFewPods"
	SoakPlatforms    Code = "SoakPlatforms"
	SoakObservers    Code = "SoakObservers"
	SoakUnproven     Code = "SoakUnproven"
	NoReadinessProbe Code = "NoReadinessProbe"

	// A test result or an approval isn't enough.
	TestFailed      Code = "TestFailed"
	TestEmpty       Code = "TestEmpty"
	TestTooOld      Code = "TestTooOld"
	ApprovalExpired Code = "ApprovalExpired"
	ApprovalTooOld  Code = "ApprovalTooOld"

	// The evidence doesn't matter.
	Recalled     Code = "Recalled"
	OtherStamp   Code = "OtherStamp"
	NoDigest     Code = "NoDigest"
	UnknownImage Code = "UnknownImage"
	NotInjected  Code = "NotInjected"

	// The image can't be judged.
	NoGate              Code = "NoGate"
	GateInvalid         Code = "GateInvalid"
	ProofTooLarge       Code = "ProofTooLarge"
	Unsupported         Code = "Unsupported"
	RegistryUnavailable Code = "RegistryUnavailable"
	SignerUnavailable   Code = "SignerUnavailable"
	InternalError       Code = "InternalError"
)

// CodeDoc explains a code.
type CodeDoc struct {
	Code Code
	// Meaning completes "it is denied because".
	Meaning string
	// Remedy is what to do about it. IMAGE@DIGEST and other words in capitals are
	// placeholders.
	Remedy string
}

// Codes returns the documentation of every code, sorted by code.
func Codes() []CodeDoc {
	docs := make([]CodeDoc, len(codes))
	copy(docs, codes)
	return docs
}

var codes = []CodeDoc{
	{
		ApprovalExpired, "the approval has expired (its expiresAt has passed)",
		"request a new approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		ApprovalTooOld, "the approval is older than the Gate's maxAge",
		"request a new approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		ExceptionElsewhere, "the Exception is for other namespaces",
		"ask its signers to sign one for this namespace: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		ExceptionExpired, "the Exception has expired",
		"provide the missing evidence, or request a new Exception: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		ExceptionRefused, "an Exception names the digest, but the Gate accepts no Exceptions",
		"provide the missing evidence; the platform team can name accepted signers in the Gate (exceptions.by)",
	},
	{
		ExceptionUnsigned, "the Exception has fewer valid signatures for this namespace than the Gate requires",
		"ask another accepted signer to sign, and add the bundle to the Exception: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		FromFuture, "the statement has a time in the future",
		"correct the clock of the signer's machine and attest again",
	},
	{
		GateInvalid, "the Gate is invalid or can't be read; its namespaces deny all images until it is fixed",
		"fix the Gate (platform team); kubectl describe gate lists the errors",
	},
	{
		InternalError, "envladder failed with an internal error, and denies what it can't judge",
		"try again; if the error persists, check the webhook's log and report a bug",
	},
	{
		NoApproval, "fewer people have approved the digest for this environment than the Gate requires",
		"ask an accepted signer for approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		NoDigest, "the image is referenced without a digest; tags can move, so a tag proves nothing",
		"reference the image by digest (repository@sha256:…); the envladder plugin sets the digest from the environment's pins",
	},
	{
		NoGate, "no Gate names the namespace",
		"ask the platform team to add the namespace to a Gate",
	},
	{
		NoProvenance, "the digest has no SLSA provenance from an accepted signer",
		"attach provenance in the build: cosign attest --type slsaprovenance1 --predicate FILE --key KEY IMAGE@DIGEST",
	},
	{
		NoReadinessProbe, "pods ran without a readiness probe, so it isn't known whether they were healthy, and the time doesn't count",
		"add a readiness probe to the workload and let it soak again",
	},
	{
		NoSBOM, "the digest has no SBOM from an accepted signer",
		"attach an SBOM in CI: cosign attest --type spdxjson --predicate FILE --key KEY IMAGE@DIGEST",
	},
	{
		NoSignature, "the digest has no signature from an accepted signer",
		"sign the digest in CI: cosign sign --key KEY IMAGE@DIGEST",
	},
	{
		NoSoak, "the digest has no soak from an accepted signer",
		"deploy the digest to the environment in which it must soak; the observer there attests the soak (by hand: envladder attest soak --key KEY --ladder LADDER --environment ENVIRONMENT --healthy TIME IMAGE@DIGEST)",
	},
	{
		NoTest, "the digest has no result of the test suite from an accepted signer",
		"run the suite against the digest and attest the result: envladder attest test --key KEY --suite SUITE --passed TESTS IMAGE@DIGEST",
	},
	{
		NoTrustedTime, "the Gate limits the statement's age, but nothing proves when it was made",
		"attest again with a timestamp (--timestamp-server-url); or let the Gate trust the signer's clock (`time: TrustSigner`), and attest with a time",
	},
	{
		NotInjected, "a container has the image `auto`, which Istio's injector replaces, and the injector hasn't run",
		"check that Istio's injector runs and selects the pod (label sidecar.istio.io/inject: \"true\", in a workload on the pod template)",
	},
	{
		NotProvenHere, "the digest ran in this environment before, but not as provenHere requires: in this cluster and the Gate's namespaces, recently, and admitted with full evidence",
		"provide the evidence for a first deploy; time under an Exception, or under the actions Warn or Audit, doesn't count",
	},
	{
		OtherBuilder, "the provenance is from a different builder",
		"build the image with the builder that the Gate names",
	},
	{
		OtherChart, "the deployed chart isn't the chart that soaked",
		"deploy the chart that soaked (pin its package), or let this chart soak",
	},
	{
		OtherEnvironment, "the statement is about a different environment",
		"attest for the environment that the Gate requires",
	},
	{
		OtherLadder, "the statement is about a different ladder",
		"attest for the ladder that the Gate names for this image",
	},
	{
		OtherRepository, "the soak is of a different repository, and the Gate names no ladder for this image",
		"set the image's ladder in the Gate (images[].ladder), or let the image of this repository soak",
	},
	{
		OtherSource, "the image was built from a different source",
		"build it from the repository and ref that the Gate names",
	},
	{
		OtherStamp, "the object was rendered for a different environment or ladder",
		"render it for this environment: check the Application's plugin parameters and .argocd-source.yaml",
	},
	{
		OtherTemplate, "the deployed pod template isn't one that soaked",
		"deploy the pod template that soaked, or let this one soak",
	},
	{
		PolicyRefused, "the ClusterImagePolicy that the Gate names doesn't admit the image",
		"check what the policy requires: kubectl get clusterimagepolicy NAME -o yaml",
	},
	{
		ProofTooLarge, "some evidence was not read because an attestation, or all of them together, exceeded the size limit; the missing evidence may be among it",
		"attach smaller attestations (for an SBOM: only the packages), or delete attestations that are no longer needed",
	},
	{
		Recalled, "a Recall names the digest: it must not run, whatever its evidence",
		"deploy another digest; only the platform team can lift the Recall, by deleting it",
	},
	{
		RegistryUnavailable, "the evidence couldn't be fetched from the registry, and the cluster has no cached copy",
		"check that the registry is reachable from the cluster, and try again",
	},
	{
		SignerEnded, "the statement was signed after its signer's notAfter, or nothing proves that it was signed before",
		"attest again with the signer that replaced this one",
	},
	{
		SignerUnavailable, "signatures of a signer can't be verified: its KMS doesn't answer, or its trusted root is missing",
		"try again once it is available; the webhook's log names what is missing",
	},
	{
		SoakFewPods, "fewer pods were ready during the soak than the Gate requires",
		"run more replicas in that environment and let the digest soak again",
	},
	{
		SoakGap, "the soak has an unobserved gap longer than the Gate's maxGap",
		"check the observer in that environment, and let the digest soak again",
	},
	{
		SoakInconsistent, "the soak's figures contradict each other",
		"let the observer attest again; if the error persists, report a bug with the observer's version",
	},
	{
		SoakObservers, "fewer observers have attested a sufficient soak than the Gate requires",
		"run the digest in an environment of another observer that the requirement names in `by`, and let it soak there",
	},
	{
		SoakOpen, "the soak has started but not finished; only a finished soak counts",
		"wait until the observer attests the end of the soak",
	},
	{
		SoakPlatforms, "a platform of the image hasn't soaked for the required time",
		"run the image on nodes of that platform, or list in the Gate the platforms that this environment runs (requires.soak.platforms)",
	},
	{
		SoakRestarts, "containers restarted during the soak more often than the Gate allows",
		"find out why they restart, and let a fixed image soak",
	},
	{
		SoakTooOld, "the soak ended longer ago than the Gate's maxAge",
		"if the digest still runs in that environment, wait for the observer to renew the soak (observe.renewEvery, 168h by default); otherwise deploy it there again and let it soak",
	},
	{
		SoakTooShort, "the digest was healthy for less time than the Gate requires",
		"let it run there until the observer attests enough time",
	},
	{
		SoakUnproven, "the soak claims enough time, but too little of it lies between statements with proven times: statements of its window are missing, or too far apart",
		"let it run there: an observer with a timestamping authority (--timestamp-server-url) signs the statements in between; a statement by hand counts only from a signer with `time: TrustSigner`",
	},
	{
		TestEmpty, "the test result lists no passed test; a result without tests doesn't count",
		"attest a result that lists its passed tests (passedTests)",
	},
	{
		TestFailed, "tests of the suite failed",
		"check the suite's run, and deploy a fixed image",
	},
	{
		TestTooOld, "the suite ran longer ago than the Gate's maxAge",
		"run the suite again and attest the result: envladder attest test --key KEY --suite SUITE --passed TESTS IMAGE@DIGEST",
	},
	{
		Undecodable, "the statement can't be read",
		"attest again with a version of envladder or cosign that this version can read",
	},
	{
		UnknownImage, "the Gate lists the image neither in images nor in exemptImages",
		"ask the platform team to add its repository to the Gate",
	},
	{
		Unsupported, "the Gate uses a field or value that this version of envladder doesn't support",
		"upgrade envladder, or remove the field from the Gate",
	},
	{
		WrongSigner, "the statement exists, but isn't signed by an accepted signer",
		"let a signer that the requirement names in `by` attest it",
	},
}

// NewReason returns a reason with its code's remedy. Deny makes the arguments safe to
// print.
func NewReason(code Code, format string, arguments ...any) Reason {
	return Reason{Code: code, Message: fmt.Sprintf(format, arguments...), Remedy: remedy(code)}
}

func remedy(code Code) string {
	for _, doc := range codes {
		if doc.Code == code {
			return doc.Remedy
		}
	}
	return ""
}
