"""`authz import openapi|proto FILE`: a policy with every operation closed, to be opened one by one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authz.cli.exit_codes import ENVIRONMENT, NO, USAGE, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.policy.scaffold import Scaffold

NAME: Final = "import"
HELP: Final = "write a policy from an OpenAPI document or protobuf descriptors, every operation denied"
DESCRIPTION: Final = (
    "Writes a RoutePolicy and its first tests from an API's description. Every operation is denied until somebody "
    "removes its `nobody`; scopes of the security section stand beside it. Exit code 1 when something couldn't be "
    "written as a route."
)
MAX_BYTES: Final = 32 * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to read and where to write."""
    parser.add_argument(
        "source", choices=("openapi", "proto"), help="openapi: YAML or JSON; proto: a FileDescriptorSet"
    )
    parser.add_argument("file", metavar="FILE", help="the description")
    parser.add_argument("--name", required=True, help="the policy's name")
    parser.add_argument("--owner", default="", help="the owning team; default: the policy's name")
    parser.add_argument("--host", action="append", required=True, help="a host of the service; may be repeated")
    parser.add_argument("--into", metavar="DIR", help="write NAME.yaml and NAME_test.yaml there; default: print")


def run(arguments: argparse.Namespace) -> int:
    """Read, write, and say what was left out."""
    import sys

    from authz.policy.scaffold import policy_text, tests_text

    scaffold = read_openapi(arguments.file) if arguments.source == "openapi" else _proto(arguments.file)
    if not scaffold.operations:
        raise CommandFailed(USAGE, f"{arguments.file}: no operation was found in it")
    name = arguments.name
    policy = policy_text(scaffold, name=name, owner=arguments.owner or name, hosts=arguments.host)
    tests = tests_text(scaffold, name=name, host=arguments.host[0])
    if arguments.into is None:
        print(policy, end="")
    else:
        _write(Path(arguments.into), {f"{name}.yaml": policy, f"{name}_test.yaml": tests})
    for sentence in scaffold.left_out:
        print(f"authz: left out: {sentence}", file=sys.stderr)
    return NO if scaffold.left_out else YES


def read_openapi(file: str) -> Scaffold:
    """The operations of an OpenAPI 3 document; raises `CommandFailed`."""
    import yaml

    from authz.policy.scaffold import from_openapi

    try:
        document: Any = yaml.load(_read(file), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders both
    except yaml.YAMLError as error:
        raise CommandFailed(USAGE, f"{file}: it is neither YAML nor JSON") from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise CommandFailed(USAGE, f"{file}: it is no OpenAPI 3 document")
    return from_openapi(document)


def _proto(file: str) -> Scaffold:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.message import DecodeError

    from authz.policy.scaffold import from_services

    try:
        files = FileDescriptorSet.FromString(_read(file)).file
    except DecodeError as error:
        raise CommandFailed(USAGE, f"{file}: it is no FileDescriptorSet (protoc --descriptor_set_out)") from error
    return from_services(
        f"{'.'.join(filter(None, (one.package, service.name)))}/{method.name}"
        for one in files
        for service in one.service
        for method in service.method
    )


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as source:
            data = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{file}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise CommandFailed(USAGE, f"{file}: it is over {MAX_BYTES} bytes")
    return data


def _write(folder: Path, files: dict[str, str]) -> None:
    """Never over something that is there."""
    for name in files:
        if (folder / name).exists():
            raise CommandFailed(USAGE, f"{folder / name} exists already")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
            print(f"{folder / name}: written")
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{folder}: {error.strerror}") from error
