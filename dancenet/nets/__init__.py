"""The networks in Keras: the only folder that names keras or tensorflow."""
