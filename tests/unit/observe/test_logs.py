"""One line per event, without credentials or exception texts."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from authz.observe.logs import configure

SECRET = "Bearer abcdef0123456789"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, own = logging.getLogger(), logging.getLogger("authz")
    before = (root.handlers[:], root.level, own.level)
    stream = io.StringIO()
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def test_an_event_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    """What is given as `extra` becomes members."""
    configure(level="info", form="json", stream=stream)
    fields = {"event": "policy_loaded", "revision": "r1", "count": 2}
    logging.getLogger("authz.test").info("policy loaded", extra=fields)

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "authz.test",
        "message": "policy loaded",
        "event": "policy_loaded",
        "revision": "r1",
        "count": 2,
    }


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_shows_its_type_and_place_only(stream: io.StringIO, form: str) -> None:
    """Its text may hold what a client sent."""
    configure(level="info", form=form, stream=stream)
    try:
        raise ValueError(SECRET + " and more")
    except ValueError:
        logging.getLogger("authz.test").exception("it failed")

    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "builtins.ValueError" in text
    assert "test_logs.py" in text
    assert "and more" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_credential_and_no_line_break_gets_out(stream: io.StringIO, form: str) -> None:
    """Neither in the message nor in a field (CWE-117)."""
    configure(level="info", form=form, stream=stream)
    logging.getLogger("authz.test").warning("got %s\nforged", SECRET, extra={"header": [SECRET], "x": "a\nb"})

    assert stream.getvalue().count("\n") == 1
    assert "abcdef0123456789" not in stream.getvalue()


def test_less_severe_events_are_left_out(stream: io.StringIO) -> None:
    """By the level that is set."""
    configure(level="warning", form="json", stream=stream)
    logging.getLogger("authz.test").info("quiet")

    assert stream.getvalue() == ""
