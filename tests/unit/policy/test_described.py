"""An OpenAPI document beside routes: what each lacks."""

from __future__ import annotations

from authz.policy.described import without_operation, without_route
from authz.policy.load import load
from authz.policy.scaffold import Operation

POLICY = b"""\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: team-orders}
service: {hosts: [orders.shop.example]}
routes:
  - {id: read, match: {methods: [GET], path: "/orders/{order_id:uuid}"}, allow: {public: test}}
  - {id: all, match: {methods: ["*"], path: "/reports/**"}, allow: {nobody: test}}
  - {id: livez, match: {methods: [GET], path: /livez}, allow: {public: test}}
"""


def operation(method: str, path: str) -> Operation:
    return Operation(id=f"{method}{path}", methods=(method,), path=path)


def test_operations_and_routes_are_compared_by_method_and_shape() -> None:
    """Variables may have other names and types; a literal is no variable's place."""
    policy = load({"orders.yaml": POLICY}).policy
    assert policy is not None
    operations = [
        operation("GET", "/orders/{id}"),
        operation("POST", "/orders/{id}"),
        operation("DELETE", "/reports/{day}/csv"),
        operation("GET", "/users/{id}"),
        operation("GET", "/orders/{id}/items"),
    ]

    missing = list(without_route(operations, policy.routes))
    extra = list(without_operation(operations, policy.routes))

    assert missing == [
        "POST /orders/{id} (POST/orders/{id})",
        "GET /users/{id} (GET/users/{id})",
        "GET /orders/{id}/items (GET/orders/{id}/items)",
    ]
    assert extra == ["orders/livez: GET /livez"]
