"""Is it a dance? Figures that need no network."""
