"""Measures of dances, each with a definition, a source and a bar."""
