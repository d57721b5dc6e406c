"""Trained networks to ONNX, LiteRT and SavedModel, and the checks against Keras."""
