"""What a command loads before it answers: nothing of a server, and what verifies only where something is verified."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture import tree

_SMALL = "tests/cases/diff/after"
_CALLER = ("--as", "corp:alice", "--workload", "spiffe://shop.example/ns/shop/sa/frontend")
_HEAVY = frozenset(
    {"cryptography", "grpc", "google", "opentelemetry", "prometheus_client", "httpcore", "redis", "ruamel", "asyncio"}
)
"""Libraries that a policy directory without key files has no use for."""
_LISTED = """
import sys
from authz.cli import main
code = main(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ("lint", _SMALL),
        ("test", _SMALL, "--cover", "--mutate"),
        ("explain", _SMALL, "GET", "https://orders.shop.example/orders/42", *_CALLER),
        ("diff", _SMALL, _SMALL),
        ("routes", _SMALL),
        ("schema", "RoutePolicy"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_for_files_loads_no_library_of_a_server(words: tuple[str, ...]) -> None:
    """Neither gRPC nor telemetry nor HTTP clients, and no cryptography without a key to read."""
    done = subprocess.run(
        [sys.executable, "-c", _LISTED, *words], capture_output=True, text=True, check=False, cwd=tree.ROOT
    )

    code, *loaded = done.stderr.splitlines()[-1].split()
    assert code in {"0", "1", "4"}, done.stderr
    assert _HEAVY & set(loaded) == set()


def test_a_key_file_is_worth_loading_what_reads_it() -> None:
    """The check above isn't vacuous: a directory with a bundle is linted with cryptography."""
    done = subprocess.run(
        [sys.executable, "-c", _LISTED, "lint", "examples/store/policy"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tree.ROOT,
    )

    assert "cryptography" in done.stderr.split()
