"""From a loaded model to a written dance."""
