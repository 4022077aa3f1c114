"""Allows every check on grpcio's synchronous server: the floor of that front. `python -m … ADDRESS`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from authz.wire.pb import check_pb2 as pb
from bench.client import CHECK_PATH


def allow(message: bytes, context: Any) -> bytes:
    """Read the request and write an answer, as the Go server does."""
    del context
    pb.CheckRequest.FromString(message)
    answer = pb.CheckResponse()
    answer.ok_response.SetInParent()
    return answer.SerializeToString()


class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # the stubs' class is generic, grpcio's isn't
    """The one method."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        known = handler_call_details.method == CHECK_PATH
        return grpc.unary_unary_rpc_method_handler(allow) if known else None


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(8), handlers=[Handler()])
    server.add_insecure_port(sys.argv[1])
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
