"""A trajectory to a new trajectory; NumPy only, and blind to what the vectors mean."""
