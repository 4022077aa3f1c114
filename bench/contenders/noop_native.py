"""Allows every check on pygrpc-native's low-level API: the floor of the fast front. `python -m … ADDRESS`."""

from __future__ import annotations

import sys

from pygrpc_native import _native

from authz.wire.pb import check_pb2 as pb
from bench.client import CHECK_PATH

_BATCH = 32
_WAIT = 1000
"""Milliseconds."""


def allow(message: bytes) -> bytes:
    """Read the request and write an answer, as the Go server does."""
    pb.CheckRequest.FromString(message)
    answer = pb.CheckResponse()
    answer.ok_response.SetInParent()
    return answer.SerializeToString()


def main() -> None:
    front = _native.NativeGrpcFront(sys.argv[1], [(CHECK_PATH, False)], io_threads=1, call_details=True)
    front.start()
    while (events := front.recv_batch_details(_BATCH, _WAIT)) is not None:
        for kind, call, _method, payload, _key, _details in events:
            if kind == _native.EVENT_CALL and payload is not None:
                front.respond(call, allow(payload))


if __name__ == "__main__":
    main()
