"""Continues trajectories and cuts them into windows; NumPy only, whatever the vectors mean."""
