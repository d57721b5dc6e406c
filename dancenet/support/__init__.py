"""Helpers for every other package: errors, files, terminal, threads, wording."""
