"""`when`: a CEL expression as a condition, the language's marked escape hatch (policy language §5).

Type-checked at load by `cel-expr-python` (extra `cel`), which is Google's own implementation; the language has no
loops and its regular expressions are linear, and the number of macros is bounded here. Other tools treat an
expression as opaque. An error at run time is absence; what could not be found out is undecided.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from authz.model.principal import Refusal, Undecided, User, Via, Workload
from authz.model.reason import Reason
from authz.policy.compiled import Condition, Outcome, Scene
from authz.policy.document import WhenRequirement
from authz.policy.references import workload_of
from authz.policy.three_values import FALSE, TRUE, UNDECIDED, Mode

MAX_EXPRESSION: Final = 2048
"""Characters."""
MAX_MACROS: Final = 2
"""Each macro walks a list of the token's; two of them nested stay well under a millisecond for a token of 8 KiB."""

_MACRO: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_NAME: Final = re.compile(r"(?<![\w.\"'])(user|workload)\b")
_REPORT: Final = re.compile(r"ERROR: <input>:(?:\d+):(\d+): (.*)")
_INSTALL: Final = "`when` needs the extra `cel` (cel-expr-python), which is not installed"


class ExpressionError(ValueError):
    """The expression can't be used; `column` counts from 1 inside it, 0 when unknown."""

    def __init__(self, rule: str, column: int = 0) -> None:
        super().__init__(rule)
        self.column = column


@dataclass(frozen=True, slots=True)
class Expression:
    """A type-checked expression. `names` are those of `user` and `workload` that it mentions."""

    text: str
    evaluate: Callable[[Mapping[str, object]], object]
    names: frozenset[str]


def compile_expression(text: str) -> Expression:
    """Check the expression; raises `ExpressionError`."""
    if len(text) > MAX_EXPRESSION:
        raise ExpressionError(f"an expression has at most {MAX_EXPRESSION} characters")
    if len(_MACRO.findall(text)) > MAX_MACROS:
        raise ExpressionError(f"an expression has at most {MAX_MACROS} macros (all, exists, exists_one, map, filter)")
    try:
        program = _environment().compile(text)
    except RuntimeError as error:
        raise _readable(str(error)) from None
    if program.return_type().name() != "BOOL":
        raise ExpressionError("an expression is true or false: this one is a value of another type")

    def evaluate(data: Mapping[str, object]) -> object:
        return program.eval(data=dict(data)).value()

    return Expression(text, evaluate, frozenset(_NAME.findall(text)))


def when_condition(
    when: WhenRequirement, expression: Expression, mode: Mode, via: Via | None, origin: str
) -> Condition:
    """The expression as a condition; `via` is that of the workload which `workload` means."""
    select = None if via is None else workload_of(via)

    def test(scene: Scene) -> Outcome:
        data: dict[str, object] = {"request": _request(scene), "now": datetime.fromtimestamp(scene.now, UTC)}
        data["path"], data["host"] = dict(scene.path_variables), dict(scene.host_variables)
        for name in expression.names:
            principal = scene.user if name == "user" else None if select is None else select(scene)
            if isinstance(principal, User):
                data[name] = _user(principal)
            elif isinstance(principal, Workload):
                data[name] = _workload(principal)
            else:
                return _without(principal, mode)
        return _outcome(expression, data, mode)

    return Condition(test=test, reason=Reason.EXPRESSION_FALSE, text=f"when `{when.expression}`", origin=origin)


def _without(principal: object, mode: Mode) -> Outcome:
    if isinstance(principal, Undecided):
        return UNDECIDED
    return mode.refused if isinstance(principal, Refusal) else mode.absent


def _outcome(expression: Expression, data: Mapping[str, object], mode: Mode) -> Outcome:
    """Only a boolean is an answer: an error of the evaluation comes back as a value of another kind."""
    try:
        value = expression.evaluate(data)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        return mode.absent
    if value is True:
        return TRUE
    return FALSE if value is False else mode.absent


def _request(scene: Scene) -> dict[str, object]:
    request = scene.request
    headers = {name: values[0] for name in request.headers.names() if len(values := request.headers.get_all(name)) == 1}
    return {
        "method": request.method,
        "path": request.path.text,
        "host": request.authority.host,
        "scheme": request.scheme,
        "headers": {name: value for name, value in headers.items() if name != "authorization"},
        "source": request.source.address,
    }


def _user(user: User) -> dict[str, object]:
    fields: dict[str, object] = {
        "sub": user.subject,
        "issuer": user.issuer,
        "kind": user.kind.value,
        "client": user.client,
        "scopes": _sorted(user.scopes),
        "groups": _sorted(user.groups),
        "roles": _sorted(user.roles),
        "acr": user.acr,
        "amr": _sorted(user.amr),
        "auth_time": _fitting(user.auth_time),
        "claims": {name: _fitting(value) for name, value in {**user.claims, **user.aliases}.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}


def _fitting(value: object) -> object:
    """JSON as CEL can hold it: an integer beyond its 64 bits as a double. One such claim would take all others away,
    those that a `deny` looks at too."""
    if type(value) is int:
        return value if -_INT_LIMIT <= value < _INT_LIMIT else float(value)
    if isinstance(value, list):
        return [_fitting(item) for item in value]
    if isinstance(value, dict):
        return {name: _fitting(item) for name, item in value.items()}
    return value


_INT_LIMIT: Final = 2**63


def _workload(workload: Workload) -> dict[str, object]:
    return {
        "spiffe": str(workload.id),
        "trust_domain": workload.id.trust_domain,
        "path": list(workload.id.path),
        "roles": sorted(workload.roles),
        "via": workload.via.value,
    }


def _sorted(values: frozenset[str] | None) -> list[str] | None:
    return None if values is None else sorted(values)


@lru_cache(maxsize=1)
def _environment() -> Any:
    """The variables that an expression sees; raises `ExpressionError` without the extra."""
    try:
        from cel_expr_python import cel
    except ImportError:
        raise ExpressionError(_INSTALL) from None
    fields = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    names = ("request", "path", "host", "user", "workload")
    return cel.NewEnv(variables={**dict.fromkeys(names, fields), "now": cel.Type.TIMESTAMP})


def _readable(report: str) -> ExpressionError:
    """The library's first complaint without its frame."""
    found = _REPORT.search(report)
    if found is None:
        return ExpressionError("the expression can't be read")
    return ExpressionError(found[2].split(" (in container")[0], int(found[1]))
