"""An API's description beside the policies: operations that no route takes, routes that no operation is behind.

Compares methods and the shape of paths; what a route requires is not looked at. A variable of either side stands for
one of the other whatever their types, since descriptions say little about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from authz.policy.compiled import CompiledRoute, PathTemplate, Variable
from authz.policy.router import ANY_METHOD, name_of
from authz.policy.scaffold import Operation
from authz.policy.templates import TemplateError, covers, format_template, parse_template


def without_route(operations: Sequence[Operation], routes: Sequence[CompiledRoute]) -> Iterator[str]:
    """Each operation that every policy denies, as `METHOD /path (id)`."""
    for operation in operations:
        template = _template(operation)
        if template is None or not any(_behind(operation, template, route) for route in routes):
            yield f"{' '.join(operation.methods)} {operation.path} ({operation.id})"


def without_operation(operations: Sequence[Operation], routes: Sequence[CompiledRoute]) -> Iterator[str]:
    """Each route that the description knows nothing of, as `POLICY/ROUTE METHODS /path`."""
    for route in routes:
        known = any(
            template is not None and _behind(operation, template, route)
            for operation in operations
            for template in [_template(operation)]
        )
        if not known:
            yield f"{name_of(route)}: {' '.join(sorted(route.methods))} {format_template(route.template)}"


def _template(operation: Operation) -> PathTemplate | None:
    try:
        return parse_template(operation.path)
    except TemplateError:
        return None


def _behind(operation: Operation, template: PathTemplate, route: CompiledRoute) -> bool:
    """Whether requests for the operation go to the route."""
    if ANY_METHOD not in route.methods and not set(operation.methods).intersection(route.methods):
        return False
    own = route.template.segments
    if len(template.segments) < len(own) or (len(template.segments) > len(own) and not route.template.rest):
        return False
    return all(
        covers(mine, theirs) or (isinstance(mine, Variable) and isinstance(theirs, Variable))
        for mine, theirs in zip(own, template.segments, strict=False)
    )
