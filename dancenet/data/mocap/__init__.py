"""Readers and writers of motion capture and keypoint files."""
