"""Writes the reference pages that come from the code; with `--check` says which ones are out of date.

Owns docs/metrics.md, from `authz.observe.names`; docs/settings.md, which `authz.config.reference` renders;
docs/cli.md, from the command line's own grammar; docs/kinds.md, from the JSON Schemas; and docs/reasons.md: what
happened comes from `authz.model.reason`, what an operator does about it from docs/reasons-advice.txt, which has to
hold every reason once; a missing or unknown one stops the generation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from authz.cli import exit_codes, parser
from authz.cli.grammar import Command, commands
from authz.config import reference
from authz.model.reason import ALLOWED, BY_CODE, Reason
from authz.observe import names
from authz.policy.schema import KINDS, schema_of
from authz.policy.schema_words import date, duration

DOCS: Final = Path(__file__).resolve().parent
HELP_COLUMNS: Final = "100"
"""The width of the terminal that help is shown for."""
MAX_CHOICES: Final = 12
_TYPES: Final = {"string": "text", "boolean": "`true` or `false`"}
_PATTERNS: Final[dict[str, str]] = {
    duration("")["pattern"]: "duration, such as `30s`, `15m`, `24h` or `7d`",
    date("")["pattern"]: "date, such as `2026-12-31`",
}
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


def commands_page() -> str:
    """The reference of the command line: every command's `--help`, and what exit codes mean."""
    os.environ["COLUMNS"] = HELP_COLUMNS
    known = list(commands(parser()))
    lines = [
        "# Commands",
        "",
        "<!-- Made by docs/generate.py from authz/cli; `make docs` renews it. -->",
        "",
        "| command | |",
        "|---|---|",
        *(f"| [`authz {one.name}`](#{_anchor(one)}) | {one.help} |" for one in known if len(one.path) == 1),
        "",
        "Text is for people and may change; `--output json` is for programs and keeps its keys. Colours appear on a",
        "terminal only, and not where `NO_COLOR` is set. Work that takes longer than a second says so on standard",
        "error, if that is a terminal. `authz completion` prints what makes a shell complete all of this.",
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items()),
    ]
    for one in known:
        heading = " ".join(("authz", *one.path))
        lines += ["", f"{'#' * (2 + (len(one.path) > 1))} {heading}", "", "```text", f"{one.parser.format_help()}```"]
    return "\n".join(lines) + "\n"


def _anchor(command: Command) -> str:
    return "-".join(("authz", *command.path))


def kinds_page() -> str:
    """The reference of the documents' keys."""
    lines = [
        "# Kinds of documents",
        "",
        "<!-- Made by docs/generate.py from authz/policy/schema.py; `make docs` renews it. -->",
        "",
        "What can stand in the files of a policy directory; [the language](policy-language.md) tells what it means.",
        "`authz schema KIND` prints the same as JSON Schema, for editors. `NAME` stands for names that the author",
        "gives, `[]` for each element of a list; a key that what stands around it needs is bold.",
    ]
    for kind in KINDS:
        schema = schema_of(kind)
        lines += ["", f"## {kind}", "", schema["description"], *_table(schema)]
    requirement = schema_of("RoutePolicy")["$defs"]["requirement"]
    lines += ["", "## Requirement", "", f"Who may call. {requirement['description']}", *_table(requirement)]
    return "\n".join(lines) + "\n"


def _table(schema: dict[str, Any]) -> list[str]:
    rows = [
        f"| {f'**`{path}`**' if needed else f'`{path}`'} | {_type(one)} | {one.get('description', '')} |"
        for path, one, needed in _keys(schema, "")
    ]
    return ["", "| key | type | meaning |", "|---|---|---|", *rows]


def _keys(schema: dict[str, Any], above: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each key below a schema with its path, its own schema, and whether it is required."""
    for name, one in schema.get("properties", {}).items():
        yield f"{above}{name}", one, name in schema.get("required", ())
        yield from _keys(one, f"{above}{name}.")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _keys(schema["additionalProperties"], f"{above}NAME.")
    if "items" in schema:
        yield from _keys(schema["items"], f"{above.removesuffix('.')}[].")
    for one in schema.get("oneOf", ()):
        yield from _keys(one, above)


def _type(schema: dict[str, Any]) -> str:
    """What a value may be, in a few words."""
    if "$ref" in schema:
        return "[requirement](#requirement)"
    if "const" in schema:
        return f"`{str(schema['const']).lower() if schema['const'] is True else schema['const']}`"
    if "enum" in schema:
        return _choices([str(value) for value in schema["enum"]])
    if "oneOf" in schema and "properties" not in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["oneOf"]))
    kind: str | list[str] = schema.get("type", "text or list")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object":
        return "mapping"
    if isinstance(kind, list):
        return " or ".join(_TYPES.get(one, one) for one in kind)
    pattern: str = schema.get("pattern", "")
    return _PATTERNS.get(pattern, _TYPES.get(kind, kind))


def _choices(values: list[str]) -> str:
    """A short list as it is; a long one is a table elsewhere."""
    return " or ".join(f"`{value}`" for value in values) if len(values) <= MAX_CHOICES else "[reason](reasons.md)"


def _public_text(status: int) -> str:
    return next(reason.public_text for reason in Reason if reason.status == status)


PAGES: Final = {
    "cli.md": commands_page,
    "kinds.md": kinds_page,
    "reasons.md": reasons_page,
    "settings.md": reference.render,
    "metrics.md": metrics_page,
}


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
