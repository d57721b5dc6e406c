"""Trains the network that lifts keypoints into space, on recordings seen from any side."""
