"""Two runs side by side: which numbers both have, and what each pair of them says."""
