"""A film to silhouettes of the dancer."""
