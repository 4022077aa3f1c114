"""Logs of the service itself: one line per event on stderr, JSON or text, through the standard library's logging.

Owns: the line's form. Must not: let a credential out (observe.redact), break a line, or print exception texts: they
can hold what a client sent, so an exception shows as its type and the places it passed.

How to use it: `configure(level="info", form="json")` once at start; then `logging.getLogger("authz.room")` and
`log.info("what happened", extra={"event": "stable_name", "issuer": name, …})`: everything in `extra` is a field.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import IO, Any, Final

from authz.observe.redact import redact, redact_value

ROOT: Final = "authz"
MAX_FRAMES: Final = 8
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object: time (UTC), level, logger, message, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"), default=str)


class TextFormatter(logging.Formatter):
    """For people at a terminal: the same facts in one line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        message = _one_line(redact(record.getMessage()))
        return f"{timestamp(record.created)} {record.levelname.lower():7} {message} {fields}".rstrip()


def configure(
    *, level: str = "info", form: str = "json", stream: IO[str] | None = None, worker: int | None = None
) -> None:
    """Send the logs of this package, and warnings of the libraries beneath it, to `stream` (stderr). With several
    processes each line says which `worker` wrote it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    if worker is not None:
        handler.addFilter(lambda record: record.__dict__.setdefault("worker", worker) is not None)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(LEVELS[level])
    # A log line that can't be written must never disturb a check.
    logging.raiseExceptions = False


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(64)
def _second(whole: int) -> str:
    """A second has many lines."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: dict[str, object] = {
        redact(name): redact_value(value) for name, value in record.__dict__.items() if name not in _STANDARD
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields.update(_exception(record.exc_info[1]))
    return fields


def _exception(error: BaseException) -> dict[str, Any]:
    """Type and places, innermost last; without the text."""
    kind = type(error)
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return {
        "exception": f"{kind.__module__}.{kind.__qualname__}",
        "where": [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = _one_line(text)
    return json.dumps(text) if " " in text or not text else text


def _one_line(text: str) -> str:
    """A line feed in a message would forge a log line (CWE-117)."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
