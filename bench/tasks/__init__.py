"""What a cell does, one task per file: spec and used cells in, rows and files out."""
