"""Which files and documents count, whose a fault is, and what is left of a faulty policy."""

from __future__ import annotations

import pytest

from authz.policy.parse import is_policy_file
from tests.unit.policy.reading import HEAD, POLICY, codes, read, with_route

SOUND = with_route("{user: {}}")
GUARDRAILS = HEAD + "kind: Guardrails\nbind: host\n"


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("a.yaml", True),
        ("team/a.yaml", True),
        ("a.yml", True),
        ("A.YAML", True),
        ("a.json", False),
        ("yaml", False),
        (".a.yaml", False),
        ("..data/a.yaml", False),
        ("team/.git/a.yaml", False),
        ("keys/corp.json", False),
    ],
)
def test_files_count_by_their_names(name: str, counts: bool) -> None:
    """YAML, and no part of the path begins with a dot."""
    assert is_policy_file(name) is counts


def test_a_sound_directory_has_every_kind_and_no_fault() -> None:
    """Each kind ends where linking looks for it."""
    directory, faults = read(
        {
            "issuers.yaml": HEAD
            + "kind: Issuers\nissuers: {corp: {issuer: https://idp.shop.example, audiences: [a]}}\n",
            "trust.yaml": HEAD + "kind: TrustDomains\ntrustDomains: {shop.example: {bundle: {file: b.json}}}\n"
            "peers: {verified_by: envoy}\n",
            "more.yaml": GUARDRAILS + "---\n" + HEAD + "kind: Requirements\nrequirements: {staff: {user: {}}}\n",
            "orders.yaml": SOUND,
            "orders_test.yaml": HEAD + "kind: RoutePolicyTest\npolicy: orders\n",
        }
    )

    assert faults == ()
    assert directory.issuers is not None and directory.trust_domains is not None
    assert directory.guardrails is not None
    assert [document.name for document in directory.requirements] == [""]
    assert [policy.name for policy in directory.policies] == ["orders"]


@pytest.mark.parametrize("name", ["a.yml", "A.YAML", "a.Yaml"])
def test_another_ending_is_a_fault_and_its_policies_are_not_used(name: str) -> None:
    """A file that would silently not be read is reported, and its hosts stay known."""
    directory, faults = read({name: SOUND})

    assert [(fault.code, fault.policy) for fault in faults] == [("file-name", "orders")]
    assert directory.policies == ()
    assert directory.faulty[0].hosts_known


def test_a_platform_document_in_a_file_of_another_ending_refuses_the_load() -> None:
    """Its fault is the platform's: guardrails must not vanish by a file's name."""
    assert [fault.policy for fault in read({"a.yml": GUARDRAILS})[1]] == [""]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kind: RoutePolicy\nmetadata: {name: a}\n", "document-kind"),
        ("apiVersion: authz/v2\n" + SOUND.removeprefix(HEAD), "document-kind"),
        ("apiVersion: 1\n" + SOUND.removeprefix(HEAD), "document-kind"),
        (HEAD + "metadata: {name: a}\n", "document-kind"),
        (HEAD + "kind: [RoutePolicy]\n", "document-kind"),
        ("- a\n", "document-kind"),
        ("just text\n", "document-kind"),
        ("", "document-kind"),
        ("# nothing\n", "document-kind"),
    ],
)
def test_a_document_says_its_version_and_kind(text: str, code: str) -> None:
    """Anything else isn't guessed to be sound."""
    assert code in codes(text)
    assert read({"a.yaml": text})[0].policies == ()


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (HEAD + "kind: Guardrail\n", ""),
        (HEAD + "guardrails: []\n", ""),
        (HEAD + "issuers: {}\n", ""),
        (HEAD + "requirements: {}\n", ""),
        (HEAD + "kind: RoutPolicy\nmetadata: {name: orders}\n", "orders"),
        (HEAD + "service: {}\n", "a.yaml"),
        ("- a\n", "a.yaml"),
    ],
)
def test_a_fault_of_the_kind_lands_on_the_side_the_document_most_likely_is_of(text: str, policy: str) -> None:
    """A misspelt platform kind refuses the load; a misspelt RoutePolicy is one faulty policy."""
    assert {fault.policy for fault in read({"a.yaml": text})[1]} == {policy}


def test_tests_stand_in_their_own_files_only() -> None:
    """A RoutePolicyTest elsewhere, and anything else in a file of tests, is a fault."""
    test = HEAD + "kind: RoutePolicyTest\npolicy: orders\n"

    assert codes(test, "a.yaml") == ["file-name"]
    assert codes(test, "a_test.yaml") == []
    assert codes(SOUND, "a_test.yaml") == ["document-kind"]
    assert [fault.policy for fault in read({"a_test.yaml": GUARDRAILS})[1]] == [""]
    assert read({"a_test.yaml": SOUND})[0].policies == ()


def test_there_is_at_most_one_document_of_a_platform_kind() -> None:
    """The second is a fault that names the first, and its own faults are reported too."""
    _, faults = read({"a.yaml": GUARDRAILS, "b.yaml": GUARDRAILS.replace("host", "hots")})

    assert [(str(fault.place), fault.code) for fault in faults] == [
        ("b.yaml:1:1", "document-duplicate"),
        ("b.yaml:3:7", "value-invalid"),
    ]
    assert "a.yaml:1:1" in faults[0].message


def test_two_policies_of_one_name_are_both_faulty() -> None:
    """Nothing tells which is meant, so neither is used and the hosts of both are known."""
    directory, faults = read({"a.yaml": SOUND, "b.yaml": SOUND.replace("orders.shop", "other.shop")})

    assert [(fault.code, fault.policy) for fault in faults] == [("name-duplicate", "orders")]
    assert directory.policies == ()
    assert sorted(host.value for faulty in directory.faulty for host in faulty.hosts) == [
        "orders.shop.example",
        "other.shop.example",
    ]


def test_a_requirement_of_the_platform_has_one_definition() -> None:
    """Two documents that define one name are a platform fault."""
    text = HEAD + "kind: Requirements\nmetadata: {name: NAME}\nrequirements: {staff: {user: {}}}\n"
    _, faults = read({"a.yaml": text.replace("NAME", "one"), "b.yaml": text.replace("NAME", "two")})

    assert [(fault.code, fault.policy, fault.place.file) for fault in faults] == [("name-duplicate", "", "b.yaml")]


def test_every_fault_of_every_file_is_reported_at_once() -> None:
    """None hides another, and they are sorted by place."""
    _, faults = read(
        {
            "b.yaml": POLICY.replace("name: orders", "name: b") + "routs: []\n",
            "a.yaml": GUARDRAILS.replace("host", "x") + "---\n" + POLICY + "routes: {}\n",
        }
    )

    assert [str(fault.place) for fault in faults] == ["a.yaml:3:7", "a.yaml:9:9", "b.yaml:1:1", "b.yaml:5:1"]


# What is left of a faulty policy.


def test_a_faulty_policy_keeps_its_name_hosts_and_destinations() -> None:
    """So that its hosts can answer 503."""
    text = SOUND.replace(
        "{hosts: [orders.shop.example]}", "{hosts: [a.example, b.example], at: ['dns:x'], by_name: true}"
    )
    directory, _ = read({"a.yaml": text.replace("GET", "get")})

    faulty = directory.faulty[0]
    assert (faulty.name, [host.value for host in faulty.hosts], faulty.hosts_known) == (
        "orders",
        ["a.example", "b.example"],
        True,
    )
    assert ([entry.value for entry in faulty.at], faulty.by_name) == (["dns:x"], True)


@pytest.mark.parametrize(
    "service",
    [
        "{hosts: [a.example, {b}]}",
        "{hosts: [a.example, 4]}",
        "{hosts: []}",
        "{hosts: a.example}",
        "{hostz: [a.example]}",
        "{hosts: [a.example], at: x}",
        "{hosts: [a.example], att: [x]}",
        "{hosts: [a.example], by_name: 1}",
        "{hosts: [a.example], hosts: [b.example]}",
        "{hosts: [a.example, *b]}",
        "[]",
        "~",
    ],
)
def test_hosts_are_known_only_when_everything_that_places_the_policy_is_readable(service: str) -> None:
    """A misspelt `at` or half a list of hosts would place the policy wrongly."""
    directory, faults = read({"a.yaml": SOUND.replace("{hosts: [orders.shop.example]}", service)})

    assert faults
    assert not directory.faulty[0].hosts_known


def test_a_policy_in_a_broken_file_keeps_what_came_before_the_error() -> None:
    """The complete top-level entries tell whose hosts answer 503."""
    directory, faults = read({"a.yaml": POLICY + "routes:\n  - match: {path: /orders/{order_id}}\n"})

    assert [(fault.code, fault.policy) for fault in faults] == [("yaml-syntax", "orders")]
    assert (directory.faulty[0].name, directory.faulty[0].hosts_known) == ("orders", True)


def test_every_policy_of_a_broken_file_is_faulty_also_the_sound_ones() -> None:
    """The whole file counts as faulty, and each document before the error still has its own faults reported."""
    text = (
        SOUND
        + "---\n"
        + SOUND.replace("name: orders", "name: b").replace("GET", "get")
        + "---\nkind: RoutePolicy\na: ["
    )
    directory, faults = read({"a.yaml": text})

    assert directory.policies == ()
    assert [faulty.name for faulty in directory.faulty] == ["orders", "b", ""]
    assert [(fault.code, fault.policy) for fault in faults] == [("value-invalid", "b"), ("yaml-syntax", "a.yaml")]


@pytest.mark.parametrize(
    "text",
    [
        GUARDRAILS + "---\na: [",
        "kind: Guardrails\na: [",
        "a: [\n---\nkind: Issuers\n",
        "{a: [1, kind: 'TrustDomains'",
        "\xff" + GUARDRAILS,
    ],
)
def test_a_broken_file_that_speaks_of_a_platform_kind_refuses_the_load(text: str) -> None:
    """A guardrail must not vanish because its file no longer parses."""
    data = text.encode("latin-1")

    assert "" in {fault.policy for fault in read({"a.yaml": data})[1]}


@pytest.mark.parametrize(
    ("data", "certain"),
    [
        (b"{ broken: [", False),
        (b"", False),
        (b"\x00", False),
        (b"kind: RoutePolicy\na: [", True),
        (b"\xef\xbb\xbfkind: RoutePolicy\n", True),
        (b"routes: []\na: [", True),
    ],
)
def test_a_broken_file_of_unknown_hosts_says_whether_its_kind_is_certain(data: bytes, certain: bool) -> None:
    """Linking decides what a file that might have held anything means for the load."""
    directory, faults = read({"a.yaml": data})

    assert [fault.policy for fault in faults] == ["a.yaml"]
    assert [(faulty.hosts_known, faulty.certain) for faulty in directory.faulty] == [(False, certain)]


def test_a_second_policy_behind_the_error_is_unknown_too() -> None:
    """What stands behind a syntax error was never read."""
    directory, _ = read({"a.yaml": POLICY + "routes: [\n---\nkind: RoutePolicy\n"})

    assert [(faulty.name, faulty.hosts_known) for faulty in directory.faulty] == [("orders", True), ("", False)]
