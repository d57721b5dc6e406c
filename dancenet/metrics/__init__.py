"""Is it a dance? Measures with a definition, a source and a bar; no network is needed."""
