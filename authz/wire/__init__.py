"""Envoy's messages to and from the model: the only home of generated code (`wire.pb`)."""
