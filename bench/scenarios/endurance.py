"""A million checks, each with a token of its own: the cost stays, memory stays, no answer is missing or wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import count

from bench.accounting import used
from bench.client import check_connection, grpc_body
from bench.contenders.table import Running
from bench.material import Ask, Material, message
from bench.measuring import AnsweredWrongly
from bench.report import Cell, Report
from bench.scenarios.stage import Length, best_front, stage
from tests.mint.keys import base64url

_PARTS = 20
_SETTLED = 4
"""Parts after which the token cache is full and memory has to be flat."""


def run(report: Report, length: Length) -> None:
    """Memory and cost, part by part."""
    with stage(Material(algorithm="EdDSA")) as place:
        running = best_front(place, report)
        fresh = fresh_tokens(place.material)
        rows: list[dict[str, Cell]] = []
        try:
            _parts(running, fresh, length.endurance // _PARTS, rows)
        finally:
            if len(rows) > _SETTLED:
                _table(report, running.name, rows)


def _parts(running: Running, fresh: Iterator[bytes], calls: int, rows: list[dict[str, Cell]]) -> None:
    with check_connection(running.address) as connection:
        for part in range(_PARTS):
            before = used(running.process.pid)
            outcome = connection.closed_loop(fresh, in_flight=8, calls=calls)
            after = used(running.process.pid)
            if outcome.permits != outcome.calls:
                raise AnsweredWrongly(f"{running.name}: {outcome}")
            rows.append(
                {
                    "checks": (part + 1) * outcome.calls,
                    "CPU µs/check": after.since(before) / outcome.calls * 1e6,
                    "checks/s": outcome.rate,
                    "p99 ms": outcome.percentile(0.99),
                    "RSS MB": after.resident / 1e6,
                }
            )


def _table(report: Report, name: str, rows: list[dict[str, Cell]]) -> None:
    memory = [float(row["RSS MB"] or 0) for row in rows]
    growth = memory[-1] / memory[_SETTLED - 1]
    report.findings["endurance: memory growth once settled"] = growth
    report.table(
        "endurance",
        f"endurance: {name}, every token new (Ed25519)",
        rows[_SETTLED - 1 :: _SETTLED],
        f"From {rows[_SETTLED - 1]['checks']:,} to {rows[-1]['checks']:,} checks memory grew to {growth:.3f} ×.",
    )
    points = [(float(row["checks"] or 0), held) for row, held in zip(rows, memory, strict=True)]
    report.line("endurance", "Resident memory over checks with new tokens", ("checks", "MB"), {name: points})


def fresh_tokens(material: Material) -> Iterator[bytes]:
    """Requests with tokens that nobody has seen, made as they are asked for, for about 40 µs each.

    One request is made the long way; the others differ in eight digits of `jti` and so in the signature, and are as
    long: all that surrounds the token stays.
    """
    template = material.token()
    head, payload, _ = template.split(".")
    claims = json.loads(_decoded(payload))
    claims["jti"] = "########"
    text = json.dumps(claims)
    before, after = grpc_body(message(Ask(token=template))).split(template.encode())
    key = material.keys[0]
    for number in count(1):
        signed = f"{head}.{base64url(text.replace('########', f'{number:08x}').encode())}".encode()
        yield before + signed + b"." + base64url(key.sign(signed)).encode() + after


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
