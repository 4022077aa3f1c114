"""The policy decision point: plain synchronous Python that reaches the outside only through `engine.ports`."""
