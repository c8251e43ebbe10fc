"""The regression gate: the present tree beside an older revision of it, measured taking turns."""
