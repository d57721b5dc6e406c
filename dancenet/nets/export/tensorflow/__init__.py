"""The exported functions in plain TensorFlow, for SavedModel and LiteRT."""
