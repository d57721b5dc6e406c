"""Loads a model, makes new dances with it, and writes them."""
