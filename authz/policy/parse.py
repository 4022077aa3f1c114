"""A policy directory's files to values: every document of every kind, with all faults at once (policy language §1).

Owns which files count, which kind a document is of, whose faults are whose, and that names are unique. A fault of
a platform kind carries no policy and refuses the load; a fault of a RoutePolicy carries its name (or its file, when
the name can't be read) and makes a `FaultyPolicy` of it. Never raises, whatever the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import replace
from enum import Enum
from types import MappingProxyType
from typing import Final

from authz.policy.document import (
    FaultyPolicy,
    GuardrailsDocument,
    IssuersDocument,
    ParsedDirectory,
    RequirementsDocument,
    RoutePolicyDocument,
    TrustDomainsDocument,
)
from authz.policy.faults import Fault, FaultCode, Faults, Place, Severity
from authz.policy.parse_guardrails import read_guardrails
from authz.policy.parse_issuers import read_issuers
from authz.policy.parse_requirements import read_requirements
from authz.policy.parse_routes import read_metadata, read_route_policy, salvage
from authz.policy.parse_trust import read_trust_domains
from authz.policy.parse_values import Reading
from authz.policy.suggest import closest, did_you_mean
from authz.policy.yaml_reader import read_file
from authz.policy.yaml_tree import Document, Mapping, Node, ReadFile, Scalar, let_go, show

API_VERSION: Final = "authz/v1"
TEST_SUFFIX: Final = "_test.yaml"


class Kind(Enum):
    """The kinds of the language."""

    ISSUERS = "Issuers"
    TRUST_DOMAINS = "TrustDomains"
    GUARDRAILS = "Guardrails"
    REQUIREMENTS = "Requirements"
    ROUTE_POLICY = "RoutePolicy"
    ROUTE_POLICY_TEST = "RoutePolicyTest"


_BY_NAME: Final = {kind.value: kind for kind in Kind}
_PLATFORM: Final = frozenset({Kind.ISSUERS, Kind.TRUST_DOMAINS, Kind.GUARDRAILS, Kind.REQUIREMENTS})
_TELLING_KEYS: Final = {
    "issuers": Kind.ISSUERS,
    "trustDomains": Kind.TRUST_DOMAINS,
    "peers": Kind.TRUST_DOMAINS,
    "guardrails": Kind.GUARDRAILS,
    "bind": Kind.GUARDRAILS,
    "destinations": Kind.GUARDRAILS,
    "service": Kind.ROUTE_POLICY,
    "routes": Kind.ROUTE_POLICY,
    "tests": Kind.ROUTE_POLICY_TEST,
    "requirements": Kind.REQUIREMENTS,
}
"""Top-level keys, in the order in which they tell the kind of a document that doesn't say it."""
_KIND_MENTIONED: Final = re.compile(
    r"""\bkind["']?[ \t]*:[ \t]*["']?(""" + "|".join(sorted(_BY_NAME, key=len, reverse=True)) + r")\b"
)


def parse(
    files: MappingType[str, bytes],
    faults: Faults,
    known: MappingType[str, tuple[RoutePolicyDocument, ...]] = MappingProxyType({}),
) -> ParsedDirectory:
    """Every document of the directory; keys are paths relative to it, with `/`. `known` are the policies of files that
    an earlier reading of the same bytes found sound (`ParsedDirectory.sound`)."""
    directory = _Directory(faults)
    for name in filter(is_policy_file, sorted(files)):
        if name in known:
            directory.add_sound(name, known[name])
        else:
            directory.add_file(name, files[name])
    return directory.finish()


def is_test_file(name: str) -> bool:
    """Whether the file holds tests, which only the tools read (`policy.parse_tests`)."""
    return is_policy_file(name) and name.endswith(TEST_SUFFIX)


def is_policy_file(name: str) -> bool:
    """Whether the file takes part: YAML by its name, and no part of its path begins with a dot."""
    return name.lower().endswith((".yaml", ".yml")) and not any(part.startswith(".") for part in name.split("/"))


class _Directory:
    """Collects what the files hold."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._single: dict[Kind, Document] = {}
        self._issuers: IssuersDocument | None = None
        self._trust_domains: TrustDomainsDocument | None = None
        self._guardrails: GuardrailsDocument | None = None
        self._requirements: list[RequirementsDocument] = []
        self._policies: list[RoutePolicyDocument] = []
        self._faulty: list[FaultyPolicy] = []
        self._sound: dict[str, tuple[RoutePolicyDocument, ...]] = {}

    def add_file(self, file: str, data: bytes) -> None:
        """Read one file; where its name or its syntax is faulty, none of its policies is used."""
        faults, policies, faulty = len(self._faults), len(self._policies), len(self._faulty)
        read = read_file(file, data)
        kinds = self._judge(file, read)
        let_go(read)
        if kinds.isdisjoint(_PLATFORM) and (len(self._faults), len(self._faulty)) == (faults, faulty):
            self._sound[file] = tuple(self._policies[policies:])

    def add_sound(self, file: str, policies: tuple[RoutePolicyDocument, ...]) -> None:
        """Take over what reading the file gave before."""
        self._policies += policies
        self._sound[file] = policies

    def _judge(self, file: str, read: ReadFile) -> set[Kind]:
        """The kinds of what stands in the file."""
        whole = _file_fault(file, read)
        if file.endswith(TEST_SUFFIX):
            self._add_test_file(file, read, whole)
            return set()
        before = len(self._faulty)
        kinds = {
            kind
            for document in read.documents
            if document.complete
            if (kind := self._add(file, document, sound=whole is None)) is not None
        }
        if read.broken is not None:
            kinds |= self._add_broken(file, read)
        elif not read.documents:
            self._faulty.append(FaultyPolicy(place=Place(file), name="", certain=False))
        if whole is None:
            return kinds
        named = {policy.name for policy in self._faulty[before:]}
        policy = named.pop() if len(named) == 1 else ""
        self._report((whole,), "" if kinds & _PLATFORM else policy or file)
        return kinds

    def finish(self) -> ParsedDirectory:
        self._check_requirement_names()
        self._check_policy_names()
        return ParsedDirectory(
            issuers=self._issuers,
            trust_domains=self._trust_domains,
            guardrails=self._guardrails,
            requirements=tuple(self._requirements),
            policies=tuple(self._policies),
            faulty=tuple(self._faulty),
            sound=self._sound,
        )

    def _report(self, faults: tuple[Fault, ...], policy: str) -> None:
        self._faults.extend([replace(fault, policy=policy) for fault in faults])

    # One document.

    def _add(self, file: str, document: Document, *, sound: bool) -> Kind | None:
        """Read one whole document; returns its kind as far as it can be told."""
        reading = Reading(file, Faults())
        reading.faults.extend(document.faults)
        said = check_head(reading, document)
        kind = said or _guess_kind(document.root)
        if kind is Kind.ROUTE_POLICY_TEST:
            reading.faults.add(
                document.place,
                FaultCode.FILE_NAME,
                "a RoutePolicyTest stands in another file",
                help="Move it to a file whose name ends in _test.yaml.",
            )
            self._report(tuple(reading.faults), file)
        elif kind in _PLATFORM:
            if said is not None and document.root is not None:
                self._add_platform(said, reading, document, document.root)
            self._report(tuple(reading.faults), "")
        else:
            self._add_policy(reading, document, said, certain=kind is not None, sound=sound)
        return kind

    def _add_policy(
        self, reading: Reading, document: Document, said: Kind | None, *, certain: bool, sound: bool
    ) -> None:
        policy = None
        if said is not None and document.root is not None:
            policy = read_route_policy(reading, document.root)
        found = tuple(reading.faults)
        if policy is not None and sound and not any(fault.severity is Severity.ERROR for fault in found):
            self._policies.append(policy)
            return
        faulty = salvage(reading.file, document.root, document.place, certain=certain)
        self._faulty.append(faulty)
        self._report(found, faulty.name or reading.file)

    def _add_platform(self, kind: Kind, reading: Reading, document: Document, root: Node) -> None:
        """Also a faulty one is kept: its faults refuse the load, and names in it aren't reported as unknown."""
        if kind is Kind.REQUIREMENTS:
            self._requirements.append(_read_requirements(reading, root))
            return
        first = self._single.setdefault(kind, document)
        if first is not document:
            reading.faults.add(
                document.place,
                FaultCode.DOCUMENT_DUPLICATE,
                f"{first.place} is the directory's {kind.value} document already",
            )
        if kind is Kind.ISSUERS:
            issuers = read_issuers(reading, root)
            self._issuers = self._issuers or issuers
        elif kind is Kind.TRUST_DOMAINS:
            trust_domains = read_trust_domains(reading, root)
            self._trust_domains = self._trust_domains or trust_domains
        else:
            guardrails = read_guardrails(reading, root)
            self._guardrails = self._guardrails or guardrails

    # Files that can't be read to their end, and files of tests.

    def _add_broken(self, file: str, read: ReadFile) -> set[Kind]:
        """What the broken document and everything behind it may have been: nothing of it was judged."""
        broken = read.documents[-1] if read.documents and not read.documents[-1].complete else None
        root = broken.root if broken is not None else None
        mentioned = [_BY_NAME[match[1]] for match in _KIND_MENTIONED.finditer(read.rest)]
        own = _kind_of(root) or (mentioned[0] if mentioned else _guess_kind(root))
        place = broken.place if broken is not None else Place(file)
        kinds = {*mentioned, *([own] if own is not None else [])}
        if own is None or own is Kind.ROUTE_POLICY:
            self._faulty.append(salvage(file, root, place, certain=own is not None))
        if mentioned.count(Kind.ROUTE_POLICY) > (own is Kind.ROUTE_POLICY):
            self._faulty.append(FaultyPolicy(place=place, name=""))
        if broken is not None:
            self._report(broken.faults, "" if own in _PLATFORM else file)
        return kinds

    def _add_test_file(self, file: str, read: ReadFile, whole: Fault | None) -> None:
        """Tests aren't loaded: only that nothing else stands in their files is checked."""
        if whole is not None:
            self._report((whole,), file)
        for document in read.documents:
            kind = _kind_of(document.root)
            if kind is None or kind is Kind.ROUTE_POLICY_TEST:
                continue
            fault = Faults()
            fault.add(
                document.place,
                FaultCode.DOCUMENT_KIND,
                f"a file of tests holds {kind.value}, which isn't loaded",
                help="Move it to a file whose name doesn't end in _test.yaml.",
            )
            self._report(tuple(fault), "" if kind in _PLATFORM else file)

    # Names.

    def _check_requirement_names(self) -> None:
        documents: dict[str, Place] = {}
        names: dict[str, Place] = {}
        for document in self._requirements:
            if document.name and documents.setdefault(document.name, document.place) is not document.place:
                self._faults.add(
                    document.place,
                    FaultCode.NAME_DUPLICATE,
                    f"{documents[document.name]} has the name {show(document.name)} already",
                )
            for name, requirement in document.requirements.items():
                first = names.setdefault(name, requirement.place)
                if first is not requirement.place:
                    self._faults.add(
                        requirement.place,
                        FaultCode.NAME_DUPLICATE,
                        f"{first} defines the requirement {show(name)} already",
                    )

    def _check_policy_names(self) -> None:
        """Two policies of one name are both faulty: nothing tells which is meant."""
        places: dict[str, list[Place]] = {}
        known = [(policy.name, policy.place) for policy in self._policies]
        known += [(policy.name, policy.place) for policy in self._faulty if policy.name]
        for name, place in known:
            places.setdefault(name, []).append(place)
        twice = {name: sorted(found) for name, found in places.items() if len(found) > 1}
        for name, found in twice.items():
            for place in found[1:]:
                self._faults.add(
                    place, FaultCode.NAME_DUPLICATE, f"{found[0]} has the name {show(name)} already", policy=name
                )
        self._faulty += [_as_faulty(policy) for policy in self._policies if policy.name in twice]
        self._policies = [policy for policy in self._policies if policy.name not in twice]


def _as_faulty(policy: RoutePolicyDocument) -> FaultyPolicy:
    return FaultyPolicy(
        place=policy.place, name=policy.name, hosts=policy.hosts, at=policy.at, by_name=policy.by_name, hosts_known=True
    )


def _file_fault(file: str, read: ReadFile) -> Fault | None:
    """What is wrong with the file as a whole: none of its policies can be used."""
    faults = Faults()
    if not file.endswith(".yaml"):
        faults.add(Place(file), FaultCode.FILE_NAME, "a policy file's name ends in .yaml")
    if read.broken is not None:
        faults.extend([read.broken])
    elif not read.documents:
        faults.add(Place(file), FaultCode.DOCUMENT_KIND, "the file holds no document")
    return next(iter(faults), None)


# --- kinds -------------------------------------------------------------------------------------------------


def _kind_of(root: Node | None) -> Kind | None:
    """The kind that a document says it is of."""
    node = root.entries.get("kind") if type(root) is Mapping else None
    said = node.value if type(node) is Scalar else None
    return _BY_NAME.get(said) if type(said) is str else None


def _guess_kind(root: Node | None) -> Kind | None:
    """What a document without a known kind most likely is, so that its fault lands on the right side."""
    if type(root) is not Mapping:
        return None
    node = root.entries.get("kind")
    said = node.value if type(node) is Scalar else None
    match = closest(said, _BY_NAME) if type(said) is str else None
    if match is not None:
        return _BY_NAME[match]
    return next((kind for key, kind in _TELLING_KEYS.items() if key in root.entries), None)


def check_head(reading: Reading, document: Document) -> Kind | None:
    """`apiVersion` and `kind`: the kind, when it is one of the language."""
    root = document.root
    if type(root) is not Mapping:
        reading.faults.add(
            document.place, FaultCode.DOCUMENT_KIND, "a document is a mapping with `apiVersion` and `kind`"
        )
        return None
    version, kind = root.entries.get("apiVersion"), root.entries.get("kind")
    if version is None:
        reading.fault(root, FaultCode.DOCUMENT_KIND, f"the document doesn't say `apiVersion: {API_VERSION}`")
    elif type(version) is not Scalar or version.value != API_VERSION:
        reading.fault(version, FaultCode.DOCUMENT_KIND, f"the only `apiVersion` is {API_VERSION}")
    found = _kind_of(root)
    if kind is None:
        reading.fault(root, FaultCode.DOCUMENT_KIND, "the document doesn't say its `kind`")
    elif found is None:
        said = kind.value if type(kind) is Scalar and type(kind.value) is str else ""
        reading.fault(kind, FaultCode.DOCUMENT_KIND, f"there is no kind {show(said)}{did_you_mean(said, _BY_NAME)}")
    return found


def _read_requirements(reading: Reading, root: Node) -> RequirementsDocument:
    entries = reading.fields(
        root, "a Requirements document", ("apiVersion", "kind", "metadata", "requirements"), required=("requirements",)
    )
    metadata = read_metadata(reading, entries["metadata"]) if "metadata" in entries else {}
    return RequirementsDocument(
        place=reading.place(root),
        name=metadata.get("name", ""),
        requirements=read_requirements(reading, entries["requirements"], "`requirements`")
        if "requirements" in entries
        else {},
    )
