"""What a million revocations cost: `python -m bench.revocations N` prints one JSON object about a list of N entries.

In a process of its own, in process: seconds to put them in force, megabytes that they hold, CPU µs of a whole warm
answer beside them, and seconds until all have expired.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from authz.engine.revocations import RevocationPlane
from authz.model.revocation import Revocation, RevocationKind, key_of
from bench.accounting import used
from bench.budget import Engine
from bench.material import Material, issuer_url, warm
from bench.timing import over

_SPREAD = 3_600
"""Seconds over which the entries end."""


class _Fresh(RevocationPlane):
    """A list that is known to be complete."""

    def stale(self) -> bool:
        return False


def main() -> None:
    entries, now = int(sys.argv[1]), int(time.time())
    plane, material = _Fresh(), Material()
    with tempfile.TemporaryDirectory() as name:
        engine = Engine(material, Path(name), tokens=100, recorders=(), revocations=plane)
        asked = warm(material, prefix=False)
        engine.answer(next(asked))
        gc.collect()
        before, start = used(os.getpid()).resident, time.process_time()
        for number in range(entries):
            key = key_of(RevocationKind.TOKEN, issuer_url(0), f"revoked-{number}")
            plane.apply(Revocation(kind=RevocationKind.TOKEN, key=key, until=now + 60 + number % _SPREAD))
        filled = time.process_time() - start
        held = used(os.getpid()).resident - before
        answer = over(lambda number: list(islice(asked, number)), engine.answer)
        start = time.process_time()
        expired = plane.expire(now=now + 2 * _SPREAD + 120)
        assert expired == entries
        found = {
            "put in force s": filled,
            "MB": held / 1e6,
            "whole answer µs": answer,
            "expire all s": time.process_time() - start,
        }
    print(json.dumps({"revocations": entries, **found}))


if __name__ == "__main__":
    main()
