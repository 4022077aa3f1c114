"""Frozen values that every room shares: standard library only, no I/O, no clock."""
