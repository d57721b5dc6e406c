"""Clips in, a dance out: every stage in one folder, each begun where it was left."""
