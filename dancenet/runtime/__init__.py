"""The exported networks, run without TensorFlow."""
