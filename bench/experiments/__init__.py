"""One file per table or figure of the paper: which cells it needs. Imports no torch."""
