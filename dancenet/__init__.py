"""Films of one dancer in, new dances out: a VAE for the pictures, an LSTM-MDN for the motion."""

__version__ = "0.1.0"
