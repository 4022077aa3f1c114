"""The front doors for Envoy: the guarded check, what bounds and drains it, health, and one module per gRPC server."""
