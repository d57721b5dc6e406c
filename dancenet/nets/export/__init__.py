"""Exports trained networks to ONNX, LiteRT and SavedModel, and compares them with Keras."""
