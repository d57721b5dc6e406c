"""Measures that ask whether pictures show a body, and whether it moves like one."""
