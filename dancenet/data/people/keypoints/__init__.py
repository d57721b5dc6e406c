"""Keypoints of one or several people over time: MoveNet, its crops, and who is who."""
