"""Whether a model can be used: ideal lattices, mixtures, equations of state, atoms pushed together, dynamics."""
