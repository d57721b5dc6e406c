"""What every room may use: errors, files, terminal, threads."""
