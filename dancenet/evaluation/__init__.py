"""A model measured on a folder of frames, beside five references on the same frames."""
