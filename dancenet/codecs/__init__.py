"""Codecs: frames or joints to vectors in model units, and back."""
