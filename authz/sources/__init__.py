"""Adapters that bring data in: policy files, issuers' keys, trust bundles. The rest only reads their
results."""
