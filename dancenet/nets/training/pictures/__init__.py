"""The frames that a VAE is trained on: batches, held-out frames, and remembered ones."""
