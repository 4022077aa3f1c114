"""The one thing that is taken from grpcio's inside: answering a call on the thread that took it in.

By its public interface grpcio answers only on a thread of the pool, after two changes of thread and the wait for the
message: for a refusal that costs most of what a check does. Whether the inside is as it is known here is looked at
once (`understood`); where it isn't, or fails, refusals go the public way. Must not: be used for anything else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from grpc import _server as inside

_POOLED: Final = ["rpc_event", "state", "behavior", "argument_thunk", "request_deserializer", "response_serializer"]
_STATUS: Final = ["rpc_event", "state", "serialized_response"]


def understood() -> bool:
    """Whether grpcio's inside has the functions that are used here, with the parameters that are expected."""
    expected = (("_unary_response_in_pool", _POOLED), ("_status", _STATUS))
    return all(_parameters(getattr(inside, name, None)) == names for name, names in expected)


def answer_here(work: tuple[Any, ...], behavior: object, make: Callable[[], bytes]) -> bool:
    """Answer a call that grpcio wants to have worked on, if it is one for `behavior`; whether that was done.

    `work` is what grpcio gave to the pool besides the function that enters the call's context.
    """
    if len(work) != 1 + len(_POOLED) or work[0] is not inside._unary_response_in_pool or work[3] is not behavior:
        return False
    message = make()
    if type(message) is not bytes or not message:
        return False
    inside._status(work[1], work[2], message)
    return True


def _parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters) if callable(function) else []
