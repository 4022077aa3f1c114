"""Times as people write them on a command line."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

from authz.cli.exit_codes import USAGE
from authz.cli.failure import CommandFailed

_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def moment(text: str | None) -> float:
    """Seconds since the epoch: RFC 3339 with an offset, or the number itself; None is now."""
    if text is None:
        return time.time()
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(USAGE, f"{text}: write a time such as 2026-11-21T10:00:00Z") from error
    if read.tzinfo is None:
        raise CommandFailed(USAGE, f"{text}: the time needs an offset, such as Z")
    return read.timestamp()
