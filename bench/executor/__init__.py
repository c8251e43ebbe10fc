"""Where cells are measured: this machine's worker processes, or the nodes of a cluster."""
