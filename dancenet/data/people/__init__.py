"""Finds people in pictures and films: their landmarks, masks and movements."""
