"""The exceptions that rooms raise inside themselves; between rooms, values travel.

    AuthzError
    ├── Refused        a request or credential breaks a rule: carries one `Reason`
    │   └── Unavailable   what would decide could not be found out (always a 503 reason)
    ├── WouldBlock     an answer needs I/O, and the caller may not wait
    └── SettingsError  the service's own settings can't be used (exit code 2 or 5)

No message ever holds what was presented (a token, a header value): errors end in logs.
"""

from __future__ import annotations

from authz.model.reason import Reason


class AuthzError(Exception):
    """Root of this package's exceptions."""


class Refused(AuthzError):
    """A request or credential breaks a rule.

    `reason` is what the registry calls it, `detail` the broken rule in a few words for operators,
    written by us (never text of the client's).
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.code}: {detail}" if detail else reason.code)
        self.reason = reason
        self.detail = detail


class Unavailable(Refused):
    """What would decide could not be found out. `retry_after` is in whole seconds."""

    def __init__(self, reason: Reason, detail: str = "", *, retry_after: int = 1) -> None:
        if not reason.is_undecided:
            raise ValueError(f"{reason.code} is not a 503 reason")
        super().__init__(reason, detail)
        self.retry_after = retry_after


class WouldBlock(AuthzError):
    """What would decide has to be asked for, and the caller said not to wait: it asks again where waiting is fine."""


class SettingsError(AuthzError):
    """The service's settings can't be used. `faults` has a sentence for each, in order."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
