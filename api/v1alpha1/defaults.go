package v1alpha1

// SetDefaults sets the defaults of the CRD, which the API server sets, for Gates that come
// from files.
func (g *Gate) SetDefaults() {
	if g.Spec.Action == "" {
		g.Spec.Action = ActionDeny
	}
	for i := range g.Spec.ExemptImages {
		if g.Spec.ExemptImages[i].Tags == "" {
			g.Spec.ExemptImages[i].Tags = TagsDeny
		}
	}
	if a := g.Spec.Requires.Approvals; a != nil && a.Count == 0 {
		a.Count = 1
	}
	if s := g.Spec.Requires.Soak; s != nil && s.Count == 0 {
		s.Count = 1
	}
	if o := g.Spec.Observe; o != nil && o.RenewEvery == nil {
		o.RenewEvery = new(o.RenewEveryOrDefault())
	}
	if p := g.Spec.ProvenHere; p != nil && p.MaxAge == nil {
		p.MaxAge = new(p.MaxAgeOrDefault())
	}
	if e := g.Spec.Exceptions; e != nil && e.Count == 0 {
		e.Count = 1
	}
}
