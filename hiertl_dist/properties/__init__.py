"""Properties of crystals that a model gives: equations of state, elastic constants, vacancies, surfaces."""
