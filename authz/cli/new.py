"""`authz new route DIR`: a route and its first tests, written into the policy's own files.

Asks for what the flags leave out, when somebody is there to answer. The result is checked by the loader before it is
written: a route that would make the directory faulty is told, and nothing is changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authz.cli.exit_codes import ENVIRONMENT, POLICY_INVALID, USAGE, YES
from authz.cli.failure import CommandFailed
from authz.model.reason import ALLOWED

if TYPE_CHECKING:
    from authz.policy.document import RoutePolicyDocument
    from authz.policy.rehearse import Result

NAME: Final = "new"
HELP: Final = "write a route and its first tests"
DESCRIPTION: Final = (
    "Adds a route to a policy, and its first tests: what a caller without credentials gets there, and somebody who "
    "gets in. What the flags leave out is asked for on a terminal. Needs the extra `fmt`."
)
_QUESTIONS: Final = {
    "policy": "Policy that gets the route",
    "id": "Name of the route (such as orders.read)",
    "method": "Methods, upper case, separated by blanks",
    "path": "Path template (such as /orders/{order_id})",
    "allow": "Who may: the name of a requirement, or YAML (such as user: {scopes: {all: [orders:read]}})",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the route is."""
    parser.add_argument("what", choices=("route",), help="route")
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    parser.add_argument("--policy", help="the policy's name; not needed where there is only one")
    parser.add_argument("--id", help="the route's name")
    parser.add_argument("--method", action="append", help="a method; may be repeated")
    parser.add_argument("--path", help="the path template")
    parser.add_argument("--allow", help="a requirement: a name, or YAML")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written")


def run(arguments: argparse.Namespace) -> int:
    """Ask, check, write."""
    from authz.cli.policy_directory import read

    directory = read(arguments.directory, tests=True, references=False)
    policies = {policy.name: policy for policy in directory.documents.policies}
    if not policies:
        raise CommandFailed(POLICY_INVALID, f"{arguments.directory}: there is no sound RoutePolicy; see `authz lint`")
    answers = _answers(arguments, list(policies))
    policy = policies.get(answers["policy"])
    if policy is None:
        raise CommandFailed(USAGE, f"no policy is called {answers['policy']!r}: {', '.join(sorted(policies))}")
    changed = _changed(directory.files, policy, answers, "credential_missing")
    verdict = _verdict(directory.files, changed, answers)
    if verdict != "credential_missing":
        changed = _changed(directory.files, policy, answers, verdict)
    if verdict != ALLOWED:
        changed = _with_allowed(directory.files, changed, policy, answers)
    for name, text in changed.items():
        if arguments.dry_run:
            print(f"# file: {name}\n{text}", end="")
        else:
            _write(Path(arguments.directory) / name, text)
    return YES


def _answers(arguments: argparse.Namespace, policies: list[str]) -> dict[str, str]:
    """The flags, and answers to what they leave out."""
    import sys

    given = {
        "policy": arguments.policy or (policies[0] if len(policies) == 1 else None),
        "id": arguments.id,
        "method": " ".join(arguments.method) if arguments.method else None,
        "path": arguments.path,
        "allow": arguments.allow,
    }
    missing = [name for name, value in given.items() if not value]
    if missing and not sys.stdin.isatty():
        raise CommandFailed(USAGE, f"nobody is there to ask for --{', --'.join(missing)}")
    return {name: value or input(f"{_QUESTIONS[name]}: ").strip() for name, value in given.items()}


def _changed(
    files: Mapping[str, bytes], policy: RoutePolicyDocument, answers: Mapping[str, str], verdict: str
) -> dict[str, str]:
    """The policy's file with the route, and its test file with what a caller without any credential gets."""
    file = policy.place.file
    tests = _test_file(files, policy.name, file)
    return {
        file: _with_route(files[file].decode("utf-8"), policy.name, answers),
        tests: _with_test(files.get(tests, b"").decode("utf-8"), policy, answers, verdict),
    }


def _with_route(text: str, policy: str, answers: Mapping[str, str]) -> str:
    yaml, documents = _loaded(text)
    document = next(one for one in documents if one.get("kind") == "RoutePolicy" and one["metadata"]["name"] == policy)
    match = _flow({"methods": answers["method"].split(), "path": answers["path"]})
    document["routes"].append({"id": answers["id"], "match": match, "allow": _requirement(answers["allow"])})
    return _dumped(yaml, documents)


def _with_test(text: str, policy: RoutePolicyDocument, answers: Mapping[str, str], verdict: str) -> str:
    yaml, documents = _loaded(text)
    found = [one for one in documents if one.get("policy") == policy.name]
    if not found:
        found = [{"apiVersion": "authz/v1", "kind": "RoutePolicyTest", "policy": policy.name, "tests": []}]
        documents += found
    method = answers["method"].split()[0].replace("*", "GET")
    expect = "allow" if verdict == ALLOWED else _flow({"deny": verdict})
    found[0]["tests"].append(
        {
            "name": f"{answers['id']}: what a caller without credentials gets",
            "request": f"{method} {_host(policy)}{_sample(answers['path'])}",
            "expect": expect,
        }
    )
    return _dumped(yaml, documents)


def _verdict(files: Mapping[str, bytes], changed: Mapping[str, str], answers: Mapping[str, str]) -> str:
    """Load the directory as it would be, and say what the new test's request really gets: a reason's code, or
    `allowed`. Raises `CommandFailed` with the faults that the change would bring."""
    from authz.model.decision import Denial

    results = _results(files, changed, f"{answers['policy']}/{answers['id']}: what a caller", faulty=True)
    assert results
    decision = results[-1].decision
    return decision.reason.code if isinstance(decision, Denial) else ALLOWED


def _results(
    files: Mapping[str, bytes], changed: Mapping[str, str], only: str, *, faulty: bool = False
) -> tuple[Result, ...] | None:
    """The tests named so, run on the directory as it would be. None where it would have faults; with `faulty` those
    are raised as `CommandFailed`."""
    from authz.cli.policy_directory import ReadDirectory
    from authz.cli.rehearsal import rehearse
    from authz.policy.faults import has_errors
    from authz.policy.load import load
    from authz.policy.parse_tests import read_suites

    after = {**files, **{name: text.encode() for name, text in changed.items()}}
    loaded = load(after)
    suites = read_suites(after, loaded.parsed)
    faults = (*loaded.faults, *suites.faults)
    if has_errors(faults) or loaded.policy is None:
        if faulty:
            raise CommandFailed(POLICY_INVALID, "nothing was written:", *map(str, faults))
        return None
    directory = ReadDirectory(
        path=Path(), files=after, policy=loaded.policy, faults=(), documents=loaded.parsed, suites=suites.suites
    )
    return rehearse(directory, only=only).results


def _with_allowed(
    files: Mapping[str, bytes], changed: dict[str, str], policy: RoutePolicyDocument, answers: Mapping[str, str]
) -> dict[str, str]:
    """The same with a test of somebody who gets in, where the difference that the route makes shows one."""
    from authz.cli.new_caller import allowed_case

    after = {**files, **{name: text.encode() for name, text in changed.items()}}
    case = allowed_case(files, after, f"{policy.name}/{answers['id']}")
    if case is None:
        return changed
    tests = _test_file(files, policy.name, policy.place.file)
    yaml, documents = _loaded(changed[tests])
    document = next(one for one in documents if one.get("policy") == policy.name)
    names = []
    for number, person in enumerate(case.people, start=1):
        names.append(f"{answers['id']}-{number}")
        if "people" not in document:
            document["people"] = {}
            document["tests"] = document.pop("tests")
        document["people"][names[-1]] = _flow(person)
    document["tests"].append(
        {
            "name": f"{answers['id']}: who meets the requirement gets in",
            "as": _flow_list(names),
            "request": _flow(case.request),
            "expect": "allow",
            "route": answers["id"],
        }
    )
    candidate = {**changed, tests: _dumped(yaml, documents)}
    return candidate if _passes(files, candidate, f"{policy.name}/{answers['id']}: who meets") else changed


def _passes(files: Mapping[str, bytes], changed: Mapping[str, str], only: str) -> bool:
    """Whether the new test is sound and holds."""
    results = _results(files, changed, only)
    return results is not None and bool(results) and all(result.passed for result in results)


def _test_file(files: Mapping[str, bytes], policy: str, file: str) -> str:
    """Where the policy's tests are, else beside it."""
    for name, data in files.items():
        if name.endswith("_test.yaml") and f"policy: {policy}\n".encode() in data:
            return name
    return file.removesuffix(".yaml") + "_test.yaml"


def _host(policy: RoutePolicyDocument) -> str:
    import re

    return re.sub(r"^(\*|\{[^}]*\})\.", "x.", policy.hosts[0].value).removesuffix(":*")


def _sample(path: str) -> str:
    from authz.policy.scaffold import sample_path

    return sample_path(path).replace("/**", "/x")


def _loaded(text: str) -> tuple[Any, list[Any]]:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise CommandFailed(ENVIRONMENT, "`authz new` needs the extra `fmt` (ruamel.yaml)") from None
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml, [document for document in yaml.load_all(text) if document is not None]


def _dumped(yaml: Any, documents: list[Any]) -> str:
    from io import StringIO

    out = StringIO()
    yaml.dump_all(documents, out)
    return out.getvalue()


def _requirement(text: str) -> Any:
    """A name, or a mapping written in one line."""
    from ruamel.yaml.error import YAMLError

    _, documents = _loaded(text if text.startswith("{") or ":" not in text else f"{{{text}}}")
    try:
        return documents[0]
    except (IndexError, YAMLError):
        raise CommandFailed(USAGE, "--allow is the name of a requirement, or YAML") from None


def _flow(values: dict[str, Any]) -> Any:
    """A mapping that is written in one line."""
    from ruamel.yaml.comments import CommentedMap

    mapping = CommentedMap(values)
    mapping.fa.set_flow_style()
    return mapping


def _flow_list(values: list[str]) -> Any:
    from ruamel.yaml.comments import CommentedSeq

    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{file}: {error.strerror}") from error
    print(f"{file}: written")
