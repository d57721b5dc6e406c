"""Training of both networks: data, loop, devices, logs."""
