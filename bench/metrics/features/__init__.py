"""Feature extractors that a person selects by name; one per file."""
