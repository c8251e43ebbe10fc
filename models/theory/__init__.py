"""Section 3.3 of the paper and the theory that it cites, as checks that run."""
