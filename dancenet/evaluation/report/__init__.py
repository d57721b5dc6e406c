"""The report of an evaluation as a page: facts, curves, pictures and films."""
