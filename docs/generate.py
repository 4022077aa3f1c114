"""Writes the reference pages that come from the code; with `--check` says which ones are out of date.

Owns docs/metrics.md, from `authz.observe.names`; docs/settings.md, which `authz.config.reference` renders; and
docs/reasons.md: what happened comes from `authz.model.reason`, what an operator does about it from
docs/reasons-advice.txt, which has to hold every reason once; a missing or unknown one stops the generation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from authz.config import reference
from authz.model.reason import ALLOWED, BY_CODE, Reason
from authz.observe import names

DOCS: Final = Path(__file__).resolve().parent
STATUS_TEXT: Final = {
    400: "the request itself can't be judged",
    401: "the user has to present something else",
    403: "it is known who calls, and they may not",
    503: "the decision could not be made",
}


def reasons_page() -> str:
    """The reference of all reasons, grouped by status."""
    advice = _advice()
    lines = [
        "# Reasons",
        "",
        "<!-- Made by docs/generate.py from authz/model/reason.py; `make docs` renews it. -->",
        "",
        f"Each denial carries exactly one of these {len(Reason)} codes, in the audit line, the metrics,",
        "Envoy's dynamic metadata and `authz explain`. The client sees only the status, a decision id and a",
        "short text.",
        f"A permit carries `{ALLOWED}` in the same places.",
        "",
        "The client's texts: " + " · ".join(f"{status} “{_public_text(status)}”" for status in STATUS_TEXT),
    ]
    for status, meaning in STATUS_TEXT.items():
        lines += ["", f"## {status}: {meaning}", "", "| reason | what happened | what to do |", "|---|---|---|"]
        lines += [
            f"| `{reason.code}` | {reason.summary} | {advice[reason]} |" for reason in Reason if reason.status == status
        ]
    return "\n".join(lines) + "\n"


def _advice() -> dict[Reason, str]:
    text = (DOCS / "reasons-advice.txt").read_text(encoding="utf-8")
    lines = [line.partition(": ") for line in text.splitlines() if line and not line.startswith("#")]
    if sorted(code for code, _, _ in lines) != sorted(BY_CODE):
        raise SystemExit("docs/reasons-advice.txt has to hold every reason exactly once")
    return {BY_CODE[code]: advice for code, _, advice in lines}


def metrics_page() -> str:
    """The reference of all metrics, as Prometheus shows them."""
    rows = [
        f"| `{prometheus_name(one)}` | {one.shape.value} | {', '.join(f'`{label}`' for label in one.labels) or '–'} "
        f"| {one.description} |"
        for one in names.INSTRUMENTS
    ]
    return "\n".join(
        [
            "# Metrics",
            "",
            "<!-- Made by docs/generate.py from authz/observe/names.py; `make docs` renews it. -->",
            "",
            "Read at `/metrics` of the admin address, in Prometheus' text form. Labels are closed sets or bounded",
            "by the policy directory: nothing that a client sends is one.",
            "",
            "| metric | kind | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            f"| `{names.DURATION_NAME}` | histogram | `result` | {names.DURATION_HELP} |",
            "",
        ]
    )


def prometheus_name(instrument: names.Instrument) -> str:
    """The name under which the exposition shows an instrument."""
    unit = {"s": "_seconds", "": ""}[instrument.unit]
    total = "_total" if instrument.shape is names.Shape.COUNTER else ""
    return instrument.name.replace(".", "_") + unit + total


def _public_text(status: int) -> str:
    return next(reason.public_text for reason in Reason if reason.status == status)


PAGES: Final = {"reasons.md": reasons_page, "settings.md": reference.render, "metrics.md": metrics_page}


def main(arguments: list[str]) -> int:
    """Write every page, or with `--check` compare: 1 when one is out of date."""
    stale = []
    for name, render in PAGES.items():
        page, text = DOCS / name, render()
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            page.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `make docs`\n")
        return 1
    sys.stdout.write(f"{len(PAGES)} generated pages, {len(stale)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
