"""What one check costs on the wire: µs per decode, parse and encode, and the ratio to protobuf's own parse.

`python -m bench.wire`. The request is what a browser behind a mesh sends: 20 headers, an 800-byte token.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from authz.model.decision import Denial, Permit
from authz.model.reason import Reason
from authz.model.request import Limits, Transport, parse_request
from authz.wire.decode import decode, view
from authz.wire.encode import encode
from authz.wire.pb import check_pb2 as pb

ROUNDS = 20_000
REPEATS = 5
LIMITS = Limits()


def main() -> None:
    """Print one line for each measured function."""
    joined, raw = _message(raw=False), _message(raw=True)
    request = decode(joined, LIMITS)
    permit, denial = _permit(), Denial(reason=Reason.TOKEN_EXPIRED, route="orders.read", policy="orders")
    base = _measure(lambda: pb.CheckRequest.FromString(joined))
    _print("protobuf parse", base, base)
    _print("decode (joined headers)", _measure(lambda: decode(joined, LIMITS)), base)
    _print("decode (raw headers)", _measure(lambda: decode(raw, LIMITS)), base)
    _print("parse_request", _measure(lambda: parse_request(request, LIMITS)), base)
    _print("view", _measure(lambda: view(request)), base)
    _print("encode allow, 8 headers", _measure(lambda: _encode(permit)), base)
    _print("encode denial", _measure(lambda: _encode(denial)), base)


def _measure(function: Callable[[], object]) -> float:
    """Microseconds per call, the best of several runs."""
    return min(timeit.repeat(function, number=ROUNDS, repeat=REPEATS)) / ROUNDS * 1e6


def _print(name: str, micros: float, base: float) -> None:
    print(f"{name:<26}{micros:8.2f} µs{micros / base:8.2f} × protobuf parse")


def _encode(decision: Permit | Denial) -> bytes:
    return encode(
        decision,
        decision_id="01JD3W8Z5Q6R7S8T9V0W1X2Y3Z",
        revision="9f86d081884c7d65",
        transport=Transport.MTLS,
        grpc=False,
    )


def _permit() -> Permit:
    headers = tuple((f"x-authz-header-{number}", "some-value-of-a-usual-length") for number in range(7))
    return Permit(
        route="orders.read", policy="orders", alternative=0, set_headers=headers, remove_headers=("x-authz-other",)
    )


def _message(*, raw: bool) -> bytes:
    check = pb.CheckRequest()
    http = check.attributes.request.http
    http.method, http.path, http.host = "GET", "/orders/42?expand=items", "orders.shop.example"
    headers = {f"x-header-{number}": "some value " * 5 for number in range(18)}
    headers |= {"authorization": "Bearer " + "a" * 800, "accept": "*/*", ":method": "GET", ":path": http.path}
    for name, value in headers.items():
        if raw:
            http.header_map.headers.add(key=name, raw_value=value.encode())
        else:
            http.headers[name] = value
    check.attributes.source.principal = "spiffe://shop.example/ns/shop/sa/frontend"
    check.attributes.source.address.socket_address.address = "10.1.2.3"
    check.attributes.destination.principal = "spiffe://shop.example/ns/shop/sa/orders"
    return check.SerializeToString()


if __name__ == "__main__":
    main()
