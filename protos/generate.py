"""Makes `authz/wire/pb` from `protos/`: run it after changing a .proto file.

Needs grpcio-tools. The output is committed, so that nobody needs a compiler to install or run the service.
Exit codes: 0 written or fresh, 1 stale (`--check`), 70 the compiler failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
OUTPUT = Path("authz/wire/pb")


def main(arguments: list[str] | None = None) -> int:
    """Write the generated modules, or compare them with what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the output is stale")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as directory:
        if not _compile(Path(directory)):
            return 70
        fresh = {path.name: path.read_bytes() for path in (Path(directory) / OUTPUT).iterdir()}
    if check:
        return _report(_stale(fresh))
    for name, content in fresh.items():
        (ROOT / OUTPUT / name).write_bytes(content)
    return 0


def _compile(target: Path) -> bool:
    included = resources.files("grpc_tools") / "_proto"
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    return (
        protoc.main(
            ["protoc", f"-I{PROTOS}", f"-I{included}", f"--python_out={target}", f"--pyi_out={target}", *sources]
        )
        == 0
    )


def _stale(fresh: dict[str, bytes]) -> list[str]:
    """Names that differ, are missing, or that no .proto file makes."""
    kept = {path.name: path.read_bytes() for path in (ROOT / OUTPUT).glob("*_pb2.py*")}
    return sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))


def _report(stale: list[str]) -> int:
    for name in stale:
        sys.stderr.write(f"{OUTPUT / name} is stale: run `make proto`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
