"""The worked example: an online store whose six services each stand behind a real Envoy that asks `authz`."""
