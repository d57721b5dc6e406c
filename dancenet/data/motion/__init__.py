"""Joints over time: clips, bones, feet, and drawing them."""
