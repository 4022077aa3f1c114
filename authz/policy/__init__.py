"""The policy language: from files' bytes to a linked, immutable `PolicySet`, and from a request to a decision.

Pure and synchronous: no I/O, no clock. The public contract is docs/policy-language.md.
"""
