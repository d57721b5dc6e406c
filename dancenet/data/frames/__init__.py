"""The numbered folder of silhouette frames."""
