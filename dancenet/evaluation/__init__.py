"""Evaluates a model on real dances, and compares it with five references."""
