"""External authorization for Envoy: verify who calls, decide by route policies, say why."""

__version__ = "0.1.0"
