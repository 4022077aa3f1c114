"""Envoy's own configuration, read from a running Envoy's dump or a bootstrap file: what is hazardous in it, what it
serves, and the part of it that we can write."""
