"""The exit codes of every command (policy language, "Exit codes of every command")."""

from __future__ import annotations

from typing import Final

YES: Final = 0
NO: Final = 1
USAGE: Final = 2
POLICY_INVALID: Final = 3
TESTS_FAILED: Final = 4
ENVIRONMENT: Final = 5
UNDECIDED: Final = 6
BUG: Final = 70

MEANINGS: Final = {
    YES: "yes: allowed, no fault, no difference, all tests passed",
    NO: "no: denied, differences found, warnings made errors",
    USAGE: "arguments or settings that can't be used",
    POLICY_INVALID: "the policy is invalid",
    TESTS_FAILED: "tests failed",
    ENVIRONMENT: "a file, the network or a port doesn't do what it should; or interrupted",
    UNDECIDED: "it can't be decided with what is known",
    BUG: "a bug in this program",
}
"""What each says to scripts, whichever command ended with it."""
