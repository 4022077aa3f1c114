"""Benchmarks: what a check costs, beside what else could have answered it, on the same cores in the same run."""
