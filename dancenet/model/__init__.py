"""A model as a folder: its configuration, its files, and the released models."""
