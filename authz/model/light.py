"""Values that are made for every check: immutable to the type checker, cheap at run time.

A frozen dataclass assigns each field through `object.__setattr__`, about 80 ns per field and 1 µs for a request; a
dozen such values per check cost more than the decision. These have slots and equality as the frozen ones do, take their
fields by position too (a call with keywords costs twice as much), and mypy reports every assignment. Everything that
isn't made per check stays a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True)
def light_value(cls: type[Value]) -> type[Value]:
    """A dataclass with slots, equality and hash whose fields mypy keeps from being assigned."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
