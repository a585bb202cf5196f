"""Whether a model can be used: ideal lattices, mixtures, equations of state, pairs pushed together, dynamics."""
