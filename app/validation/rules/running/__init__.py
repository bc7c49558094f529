"""Rules about running engines: images, devices, metrics and TLS."""
