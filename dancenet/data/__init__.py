"""Video, pictures and motion capture to silhouette frames, and pictures back to video."""
