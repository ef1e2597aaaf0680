package gate

import "fmt"

// The codes of reasons.
const (
	// What is asked for is missing.
	NoSignature  Code = "NoSignature"
	NoSBOM       Code = "NoSBOM"
	NoProvenance Code = "NoProvenance"
	NoSoak       Code = "NoSoak"
	NoTest       Code = "NoTest"
	NoApproval   Code = "NoApproval"

	// There is one, but it doesn't count.
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

	// What a soak shows isn't enough.
	SoakOpen         Code = "SoakOpen"
	SoakInconsistent Code = "SoakInconsistent"
	SoakTooShort     Code = "SoakTooShort"
	SoakTooOld       Code = "SoakTooOld"
	SoakGap          Code = "SoakGap"
	SoakRestarts     Code = "SoakRestarts"
	SoakFewPods      Code = "SoakFewPods"
	SoakPlatforms    Code = "SoakPlatforms"
	NoReadinessProbe Code = "NoReadinessProbe"

	// What a test or an approval shows isn't enough.
	TestFailed      Code = "TestFailed"
	TestEmpty       Code = "TestEmpty"
	TestTooOld      Code = "TestTooOld"
	ApprovalExpired Code = "ApprovalExpired"
	ApprovalTooOld  Code = "ApprovalTooOld"

	// Whatever the digest shows.
	Recalled     Code = "Recalled"
	OtherStamp   Code = "OtherStamp"
	NoDigest     Code = "NoDigest"
	UnknownImage Code = "UnknownImage"
	NotInjected  Code = "NotInjected"

	// It can't be judged.
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
	// Remedy is what to do about it. IMAGE@DIGEST in it stands for the image, other
	// words in capitals for what only the reader knows.
	Remedy string
}

// Codes is every code, sorted, for documents and tests.
func Codes() []CodeDoc {
	docs := make([]CodeDoc, len(codes))
	copy(docs, codes)
	return docs
}

var codes = []CodeDoc{
	{
		ApprovalExpired, "the approval's own end (expiresAt) has passed",
		"ask for a new approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		ApprovalTooOld, "the approval was given longer ago than the Gate's maxAge",
		"ask for a new approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		ExceptionElsewhere, "the exception is for other namespaces",
		"ask those who signed it for one that names this namespace: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		ExceptionExpired, "the exception's end has passed",
		"let the digest prove itself, or ask for a new exception: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		ExceptionRefused, "there is an exception, and the Gate takes none",
		"let the digest prove itself; the platform team can name in the Gate who may give leave (exceptions)",
	},
	{
		ExceptionUnsigned, "fewer people than the Gate asks for have signed the exception for this namespace",
		"let another one of them sign it, and add the bundle to the Exception: envladder attest exception --key KEY --namespace NAMESPACE --reason TEXT --expires TIME IMAGE@DIGEST",
	},
	{
		FromFuture, "the statement claims a time that hasn't come yet",
		"set the signer's clock right and attest again",
	},
	{
		GateInvalid, "the Gate contradicts itself or can't be read; while it does, its namespaces deny",
		"mend the Gate (its owner: the platform team); kubectl describe gate says what is wrong",
	},
	{
		InternalError, "envladder failed while it judged; what can't be judged is denied",
		"try again; if it stays, look into the log of the webhook and report it",
	},
	{
		NoApproval, "fewer people than the Gate asks for have approved the digest for this environment",
		"ask one of them: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST",
	},
	{
		NoDigest, "the image is named by tag; a tag can be moved, so it proves nothing",
		"name the image by digest (repository@sha256:…): the plugin does so with what the environment's pins say",
	},
	{
		NoGate, "no Gate names the namespace",
		"ask the platform team for a Gate that names the namespace",
	},
	{
		NoProvenance, "the digest has no SLSA provenance by a signer whose word counts",
		"let the builder attach it: cosign attest --type slsaprovenance1 --predicate FILE --key KEY IMAGE@DIGEST",
	},
	{
		NoReadinessProbe, "pods ran without a readiness probe: nothing says that they were healthy, so their time doesn't count",
		"give the workload a readiness probe and let it soak again",
	},
	{
		NoSBOM, "the digest has no bill of materials by a signer whose word counts",
		"let CI attach it: cosign attest --type spdxjson --predicate FILE --key KEY IMAGE@DIGEST",
	},
	{
		NoSignature, "the digest has no signature by a signer whose word counts",
		"let CI sign the digest that it built: cosign sign --key KEY IMAGE@DIGEST",
	},
	{
		NoSoak, "the digest has no soak by a signer whose word counts",
		"deploy the digest there and let it run: its observer attests the soak (by hand: envladder attest soak --key KEY --ladder LADDER --environment ENVIRONMENT --healthy TIME IMAGE@DIGEST)",
	},
	{
		NoTest, "no result of the suite by a signer whose word counts",
		"run the suite against the digest and attest its result: envladder attest test --key KEY --suite SUITE --passed TESTS IMAGE@DIGEST",
	},
	{
		NoTrustedTime, "the Gate asks how old the statement is, and nothing proves when it was made",
		"attest with a timestamp, state the time (and let the Gate say `time: TrustSigner` of the signer)",
	},
	{
		NotInjected, "a container has the image `auto`, which Istio replaces in the pods that it injects",
		"check that Istio's injector runs and selects the pod (label sidecar.istio.io/inject: \"true\"; in a pod template, on the template)",
	},
	{
		NotProvenHere, "the digest ran in this environment, but not as provenHere requires it: in this cluster and these namespaces, lately, and deployed by proof",
		"prove the digest as for a first deploy; what ran under an Exception, Warn or Audit isn't proven by that",
	},
	{
		OtherBuilder, "the provenance is of another builder",
		"build it where the Gate says",
	},
	{
		OtherChart, "what is deployed isn't the chart that soaked",
		"deploy the chart that soaked (pin its package), or let this chart soak",
	},
	{
		OtherEnvironment, "the statement is about another environment",
		"attest for the environment that the Gate asks for",
	},
	{
		OtherLadder, "the statement is about another ladder",
		"attest for the ladder that the Gate names for this image",
	},
	{
		OtherRepository, "the soak is of another repository, and the Gate names no ladder for this image",
		"name the ladder in the Gate's images, or let the image of this repository soak",
	},
	{
		OtherSource, "the provenance is of another source",
		"build it from the repository and ref that the Gate names",
	},
	{
		OtherStamp, "the object was rendered for another environment or ladder",
		"render it for this environment: look at the Application's plugin parameters and at .argocd-source.yaml",
	},
	{
		OtherTemplate, "the pod template that is deployed isn't one that soaked",
		"deploy the pod template that soaked, or let this one soak",
	},
	{
		PolicyRefused, "the ClusterImagePolicy that the Gate names doesn't let the image by",
		"see what it asks for: kubectl get clusterimagepolicy NAME -o yaml",
	},
	{
		ProofTooLarge, "not all proof was read: an attestation, or all of them together, is larger than what is read; what is missing may be in it",
		"attach a smaller one (of an SBOM: the packages alone), or remove the attestations that nobody needs",
	},
	{
		Recalled, "the digest was recalled: it must not run any more, whatever it shows",
		"deploy another digest; the platform team can delete the Recall",
	},
	{
		RegistryUnavailable, "the proof couldn't be fetched, and no copy of it is kept in the cluster",
		"try again once the registry answers",
	},
	{
		SignerEnded, "it was signed after the end of its signer (notAfter), or nothing proves that it was before",
		"let the signer who took over attest it",
	},
	{
		SignerUnavailable, "a signer of the Gate can't be verified by: its KMS doesn't answer, or its trusted root isn't there",
		"try again once it answers; the log of the webhook says what is missing",
	},
	{
		SoakFewPods, "fewer pods were ready during the soak than the Gate asks for",
		"run more replicas there and let it soak again",
	},
	{
		SoakGap, "the soak went unobserved for longer than the Gate's maxGap",
		"look after the observer there and let it soak again",
	},
	{
		SoakInconsistent, "the soak's figures contradict each other",
		"let the observer attest again; if it stays, report its version",
	},
	{
		SoakOpen, "the soak has begun but not ended: a signed start proves nothing by itself",
		"wait until its observer attests the end",
	},
	{
		SoakPlatforms, "a platform of the image hasn't soaked for the time that the Gate requires",
		"let the image run on nodes of that platform, or name in the Gate the platforms that this environment runs (soak.platforms)",
	},
	{
		SoakRestarts, "containers restarted more often during the soak than the Gate lets by",
		"find out why they restart, and let the mended image soak",
	},
	{
		SoakTooOld, "the soak ended longer ago than the Gate's maxAge",
		"let the digest soak again: envladder attest soak --key KEY --ladder LADDER --environment ENVIRONMENT --healthy TIME IMAGE@DIGEST",
	},
	{
		SoakTooShort, "the digest was healthy for less time than the Gate asks for",
		"let it run on there until its observer attests the time",
	},
	{
		TestEmpty, "the result lists no test that passed: a bare `result` is a claim without figures",
		"attest the result with passedTests",
	},
	{
		TestFailed, "tests of the suite failed",
		"look at the suite's run, mend the image",
	},
	{
		TestTooOld, "the suite ran longer ago than the Gate's maxAge",
		"run the suite again and attest its result: envladder attest test --key KEY --suite SUITE --passed TESTS IMAGE@DIGEST",
	},
	{
		Undecodable, "the statement's content can't be read",
		"attest again with a version that this one can read",
	},
	{
		UnknownImage, "the Gate lists the image neither in images nor in others",
		"ask the platform team to list its repository in the Gate",
	},
	{
		Unsupported, "the Gate has a field that this version can't judge",
		"upgrade envladder, or take the field out of the Gate",
	},
	{
		WrongSigner, "there is one, but by nobody whose word counts for it",
		"let one of the signers that the requirement names attest it",
	},
}

// NewReason is a reason with its code's remedy. What the format's arguments bring in
// is cleaned when the verdict is made.
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
