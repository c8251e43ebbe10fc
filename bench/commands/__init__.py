"""The longer commands, one per file; `bench.cli` puts them together."""
