"""`wrk`, Debian's HTTP load generator, for closed loops through Envoy, on the client's core."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import cores

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_END: Final = b"\0"
_UNITS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_PERCENTILE: Final = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Latencies in ms; `failed` are answers other than 2xx and 3xx, and requests without one."""

    requests: int
    rate: float
    p50: float
    p99: float
    failed: int


def missing() -> str:
    """Why it can't be used; empty when it can."""
    return "" if shutil.which("wrk") else "wrk is not installed (Debian: apt-get install wrk)"


def write(requests: Sequence[bytes], file: Path) -> None:
    """The whole requests that `run` sends in turn."""
    file.write_bytes(_END.join((*requests, b"")))


def run(url: str, requests: Path, *, connections: int, seconds: float) -> Result:
    """Whole seconds only: wrk knows no others."""
    options = [f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", str(_SCRIPT)]
    command = ["wrk", "-t1", *options, url, "--", str(requests)]
    done = subprocess.run(cores.pinned(command, cores.CLIENT), capture_output=True, text=True, check=True)
    return read(done.stdout)


def read(text: str) -> Result:
    """The numbers of wrk's report."""
    shares = {share: float(value) * _UNITS[unit] for share, value, unit in _PERCENTILE.findall(text)}
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Result(
        requests=int(_found(r"(\d+) requests in", text)),
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        p50=shares.get("50", float("nan")),
        p99=shares.get("99", float("nan")),
        failed=(int(refused[1]) if refused else 0) + (sum(map(int, errors.groups())) if errors else 0),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"wrk said something else: {text!r}")
    return match[1]
