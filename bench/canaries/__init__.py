"""Known answers that every run measures beside its own: instruments are tested before use."""
