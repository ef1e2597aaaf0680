package ladder

// Each enum lists its values, for the strict parser and the JSON schema.

// Enum lists the values.
func (Stamps) Enum() []string { return []string{string(StampsOn), string(StampsOff)} }

// Enum lists the values.
func (Tier) Enum() []string {
	return []string{string(TierLite), string(TierStandard), string(TierFull)}
}

// Enum lists the values.
func (Promotion) Enum() []string {
	return []string{string(PromotionCommit), string(PromotionPullRequest)}
}

// Enum lists the values.
func (Data) Enum() []string {
	return []string{string(DataThrowaway), string(DataSynthetic), string(DataReal)}
}

// Enum lists the values.
func (Preflight) Enum() []string { return []string{string(PreflightOn), string(PreflightOff)} }

// Enum lists the values.
func (Forks) Enum() []string { return []string{string(ForksDeny), string(ForksAllow)} }

// Enum lists the values.
func (Forge) Enum() []string { return []string{string(ForgeGitea), string(ForgeGitHub)} }

// Enum lists the values.
func (UnresolvedSecrets) Enum() []string {
	return []string{string(UnresolvedSecretsDeny), string(UnresolvedSecretsLiteral)}
}

// File is the values file of a tier, empty where it isn't declared.
func (t *Tiers) File(tier Tier) string {
	if t == nil {
		return ""
	}
	return map[Tier]string{TierLite: t.Lite, TierStandard: t.Standard, TierFull: t.Full}[tier]
}
