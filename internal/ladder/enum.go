package ladder

// Each enum returns its values, for the strict parser and the JSON schema.

// Enum returns the values.
func (Stamps) Enum() []string { return []string{string(StampsOn), string(StampsOff)} }

// Enum returns the values.
func (Tier) Enum() []string {
	return []string{string(TierLite), string(TierStandard), string(TierFull)}
}

// Enum returns the values.
func (Promotion) Enum() []string {
	return []string{string(PromotionCommit), string(PromotionPullRequest)}
}

// Enum returns the values.
func (Data) Enum() []string {
	return []string{string(DataThrowaway), string(DataSynthetic), string(DataReal)}
}

// Enum returns the values.
func (Preflight) Enum() []string { return []string{string(PreflightOn), string(PreflightOff)} }

// Enum returns the values.
func (Forks) Enum() []string { return []string{string(ForksDeny), string(ForksAllow)} }

// Enum returns the values.
func (Forge) Enum() []string { return []string{string(ForgeGitea), string(ForgeGitHub)} }

// Enum returns the values.
func (UnresolvedSecrets) Enum() []string {
	return []string{string(UnresolvedSecretsDeny), string(UnresolvedSecretsLiteral)}
}

// File returns the values file of a tier, or nothing where the tier isn't declared.
func (t *Tiers) File(tier Tier) string {
	if t == nil {
		return ""
	}
	return map[Tier]string{TierLite: t.Lite, TierStandard: t.Standard, TierFull: t.Full}[tier]
}
