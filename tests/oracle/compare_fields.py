"""Compares our messages with the published ones; runs in a process of its own (`test_published_fields.py`).

Walks both trees from the two messages of the Check call. For each field of ours: the published field of the
same number must have the same name, type, cardinality and presence, and enumerations must know our numbers.
Prints one line for each difference; exit code 1 when there is one, 2 when the published stubs are missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

from authz.wire.pb import check_pb2 as ours

# Descriptors: the runtime's stubs have two unrelated classes for each kind.
Message: TypeAlias = Any
Field: TypeAlias = Any
Enumeration: TypeAlias = Any
Pair: TypeAlias = tuple[Message, Message]


def main() -> int:
    """Print the differences."""
    try:
        from envoy.service.auth.v3 import external_auth_pb2 as published
    except ImportError:
        return 2
    differences = list(
        compare(
            (
                (ours.CheckRequest.DESCRIPTOR, published.CheckRequest.DESCRIPTOR),
                (ours.CheckResponse.DESCRIPTOR, published.CheckResponse.DESCRIPTOR),
            )
        )
    )
    for difference in differences:
        print(difference)
    return 1 if differences else 0


def compare(roots: tuple[Pair, ...]) -> Iterator[str]:
    """Every difference, over all messages that the roots reach."""
    waiting, seen = list(roots), set()
    compared = 0
    while waiting:
        mine, theirs = waiting.pop()
        if mine.full_name in seen or mine.full_name.startswith("google.protobuf."):
            continue
        seen.add(mine.full_name)
        for field in mine.fields:
            compared += 1
            other = theirs.fields_by_number.get(field.number)
            if other is None:
                yield f"{field.full_name}: no published field has number {field.number}"
                continue
            yield from _differences(field, other)
            if field.message_type and other.message_type:
                waiting.append((field.message_type, other.message_type))
    if compared < 40:
        yield f"only {compared} fields were compared: the walk is broken"


def _differences(mine: Field, theirs: Field) -> Iterator[str]:
    for what in ("name", "type", "is_repeated", "has_presence"):
        if getattr(mine, what) != getattr(theirs, what):
            yield f"{mine.full_name}: {what} is {getattr(mine, what)}, published {getattr(theirs, what)}"
    if _is_map(mine) != _is_map(theirs):
        yield f"{mine.full_name}: one is a map, the other isn't"
    if mine.enum_type and theirs.enum_type:
        yield from _enum_differences(mine.enum_type, theirs.enum_type)
    # The walk stops at protobuf's own messages, so those have to be the very same.
    known = mine.message_type.full_name if mine.message_type else ""
    if known.startswith("google.protobuf.") and theirs.message_type.full_name != known:
        yield f"{mine.full_name}: is {known}, published {theirs.message_type.full_name}"


def _enum_differences(mine: Enumeration, theirs: Enumeration) -> Iterator[str]:
    for number in set(mine.values_by_number) - set(theirs.values_by_number):
        yield f"{mine.full_name}: no published value has number {number}"


def _is_map(field: Field) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


if __name__ == "__main__":
    sys.exit(main())
