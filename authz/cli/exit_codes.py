"""The exit codes of every command (policy language, "Exit codes of every command")."""

from __future__ import annotations

from typing import Final

YES: Final = 0
NO: Final = 1
"""Denied, differences found, lint warnings made errors."""
USAGE: Final = 2
"""Arguments or settings that can't be used."""
POLICY_INVALID: Final = 3
TESTS_FAILED: Final = 4
ENVIRONMENT: Final = 5
"""A file, the network, a port."""
UNDECIDED: Final = 6
BUG: Final = 70
