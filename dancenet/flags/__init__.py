"""Flags of the scripts, and what they ask for as settings; imports nothing heavy."""
