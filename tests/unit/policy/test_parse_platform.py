"""`Issuers`, `TrustDomains` and `Guardrails`: what they become, and every value that can't be written."""

from __future__ import annotations

from datetime import date

import pytest

from authz.model.issuer import (
    ALGORITHMS,
    BundleFile,
    Discovery,
    IssuerSettings,
    JwksFile,
    JwksUri,
    PeerVerification,
    TrustSettings,
)
from authz.model.spiffe import SpiffeId
from authz.policy.document import Bind, ForbidPublic, GuardrailDeclaration, GuardrailsDocument, UserRequirement
from tests.unit.policy.reading import HEAD, codes, read

ISSUERS = HEAD + "kind: Issuers\nissuers:\n  corp:\n    issuer: https://idp.shop.example\n    audiences: [shop-api]\n"
TRUST = HEAD + (
    "kind: TrustDomains\ntrustDomains: {shop.example: {bundle: {file: bundles/shop.json}}}\n"
    "peers: {verified_by: envoy}\n"
)
GUARDRAILS = HEAD + "kind: Guardrails\nbind: destination\n"


def issuer(extra: str = "") -> IssuerSettings:
    """The settings of the one issuer, with further lines."""
    directory, faults = read({"a.yaml": ISSUERS + extra})
    assert not faults, [str(fault) for fault in faults]
    assert directory.issuers is not None
    return directory.issuers.issuers["corp"]


def trust(text: str) -> TrustSettings:
    """The settings of a sound TrustDomains document."""
    directory, faults = read({"a.yaml": text})
    assert not faults, [str(fault) for fault in faults]
    assert directory.trust_domains is not None
    return directory.trust_domains.settings


def guardrails(extra: str) -> GuardrailsDocument:
    """A sound Guardrails document with further lines."""
    directory, faults = read({"a.yaml": GUARDRAILS + extra})
    assert not faults, [str(fault) for fault in faults]
    assert directory.guardrails is not None
    return directory.guardrails


def guardrail(text: str) -> GuardrailDeclaration:
    """The one guardrail of a sound document; `text` is flow YAML."""
    return guardrails(f"guardrails: [{text}]\n").guardrails[0]


# Issuers.


def test_an_issuer_needs_only_its_url_and_audiences() -> None:
    """Every other setting has the default that the language names."""
    settings = issuer()

    assert settings == IssuerSettings(
        name="corp",
        issuer="https://idp.shop.example",
        audiences=frozenset({"shop-api"}),
        aliases={"scopes": ("scope",), "groups": ("groups",), "roles": ("roles",), "client": ("azp",)},
    )
    assert (settings.clock_skew, settings.max_lifetime) == (30.0, 86400.0)
    assert settings.keys == Discovery()
    assert settings.algorithms == ALGORITHMS


def test_claims_are_dotted_paths_or_lists_of_keys() -> None:
    """A list is one path, for keys that hold dots."""
    settings = issuer("    claims: {roles: ['https://shop.example/roles'], scopes: a.b, tenant: ['x.y', z]}\n")

    assert settings.roles == ("https://shop.example/roles",)
    assert settings.scopes == ("a", "b")
    assert settings.aliases["tenant"] == ("x.y", "z")
    assert settings.aliases["client"] == ("azp",)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("keys: discovery", "keys", Discovery()),
        ("keys: {jwks_uri: 'https://k.example/jwks'}", "keys", JwksUri("https://k.example/jwks")),
        ("keys: {jwks_file: keys/corp.json}", "keys", JwksFile("keys/corp.json")),
        ("algorithms: [EdDSA, RS256]", "algorithms", ("Ed25519", "RS256")),
        ("token_types: [AT+JWT, application/jwt]", "token_types", frozenset({"at+jwt", "jwt"})),
        ("clock_skew: 0s", "clock_skew", 0.0),
        ("clock_skew: 5m", "clock_skew", 300.0),
        ("max_lifetime: 7d", "max_lifetime", 7 * 86400.0),
        ("audience_claim: client_id", "audience_claim", ("client_id",)),
        ("revocation: normal", "strict_revocation", False),
        ("revocation: strict", "strict_revocation", True),
    ],
)
def test_each_setting_of_an_issuer_is_read(line: str, field: str, value: object) -> None:
    """One line, one field."""
    assert getattr(issuer(f"    {line}\n"), field) == value


def test_tokens_of_clients_are_told_by_a_typed_claim() -> None:
    """`equals` keeps its JSON type."""
    settings = issuer("    client_tokens: {claim: idtyp, equals: true}\n")

    assert settings.client_tokens is not None
    assert (settings.client_tokens.claim, settings.client_tokens.equals) == (("idtyp",), True)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("algorithms: [none]", "value-invalid"),
        ("algorithms: [HS256]", "value-invalid"),
        ("algorithms: [hs512]", "value-invalid"),
        ("algorithms: [RS384]", "value-invalid"),
        ("algorithms: []", "list-empty"),
        ("algorithms: RS256", "value-type"),
        ("token_types: ['a b']", "value-invalid"),
        ("clock_skew: 301s", "value-invalid"),
        ("clock_skew: 30", "value-invalid"),
        ("clock_skew: -1s", "value-invalid"),
        ("clock_skew: 1h30m", "value-invalid"),
        ("clock_skew: 5 m", "value-invalid"),
        ("max_lifetime: 0s", "value-invalid"),
        ("max_lifetime: 99999d", "value-invalid"),
        ("keys: fetch", "value-invalid"),
        ("keys: {}", "value-invalid"),
        ("keys: {jwks_uri: 'https://a.example', jwks_file: b}", "value-invalid"),
        ("keys: {jwks_uri: 'file:///etc/passwd'}", "issuer-url"),
        ("keys: {jwks_file: /etc/keys.json}", "value-invalid"),
        ("keys: {jwks_file: ../keys.json}", "value-invalid"),
        ("keys: {jwks_file: a//b}", "value-invalid"),
        ("claims: {roles: 'https://shop.example/roles'}", "claim-path"),
        ("claims: {roles: a..b}", "claim-path"),
        ("claims: {roles: []}", "list-empty"),
        ("claims: {'{x}': a}", "name-invalid"),
        ("client_tokens: {claim: a}", "key-missing"),
        ("client_tokens: {claim: a, equals: [b]}", "value-type"),
        ("client_tokens: {claim: a, equals: null}", "value-type"),
        ("revocation: lax", "value-invalid"),
        ("introspection: {endpoint: 'https://a', client_id: b}", "key-missing"),
        ("introspection: {endpoint: 'https://a', client_secret_file: b}", "key-missing"),
        ("introspection: {endpoint: 'http://a', client_id: b, client_secret_file: c}", "issuer-url"),
        ("introspection: {endpoint: 'https://a', client_id: é, client_secret_file: c}", "value-invalid"),
        ("introspection: {endpoint: 'https://a', client_id: b, client_secret_file: ../c}", "value-invalid"),
        ("introspection: {endpoint: 'https://a', client_id: b, client_secret_file: c, always: 1}", "value-type"),
        ("introspection: {endpoint: 'https://a', client_id: b, client_secret_file: c, cache_ttl: 2h}", "value-invalid"),
        ("introspection: {endpoint: 'https://a', client_id: b, client_secret_file: c, secret: d}", "key-unknown"),
        ("introspection: {endpoint: 'https://a', client_id: b, private_key_file: c}", "value-invalid"),
        (
            "introspection: {endpoint: 'https://a', client_id: b, client_secret_file: c, auth_method: tls}",
            "value-invalid",
        ),
        (
            "introspection: {endpoint: 'https://a', client_id: b, client_secret_file: c, auth_method: private_key_jwt}",
            "value-invalid",
        ),
        ("introspection: {endpoint: 'https://a', client_id: b, auth_method: private_key_jwt}", "key-missing"),
        ("session: {}", "key-planned"),
        ("audience: [x]", "key-unknown"),
        ("issuer: https://b.example", "yaml-duplicate-key"),
    ],
)
def test_what_an_issuer_cant_say_is_one_fault(line: str, code: str) -> None:
    """Each line alone breaks the document, and nothing else is reported."""
    assert codes(ISSUERS + f"    {line}\n") == [code]


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://idp.shop.example", True),
        ("https://idp.shop.example/", True),
        ("https://idp.shop.example:8443/realms/a", True),
        ("https://[2001:db8::1]/x", True),
        ("http://127.0.0.1:9000", True),
        ("http://localhost/x", True),
        ("http://[::1]:1", True),
        ("http://idp.shop.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", False),
        ("https://a.example?x=1", False),
        ("https://a.example/#x", False),
        ("https://u@a.example", False),
        ("https://a.example/\\b", False),
        ("https:///x", False),
        ("ftp://a.example", False),
        ("idp.shop.example", False),
        ("HTTPS://a.example", False),
        ("https://a.example/ü", False),
        ("https://a b.example", False),
    ],
)
def test_issuer_urls_are_plain_https(url: str, usable: bool) -> None:
    """No query, fragment or user-info; http only on the own machine."""
    assert codes(ISSUERS.replace("https://idp.shop.example", f"'{url}'")) == ([] if usable else ["issuer-url"])


def test_two_names_for_one_issuer_are_a_fault_that_names_the_first() -> None:
    """`iss` must lead to one entry."""
    _, faults = read({"a.yaml": ISSUERS + "  twin: {issuer: https://idp.shop.example, audiences: [b]}\n"})

    assert [(fault.code, fault.place.line) for fault in faults] == [("issuer-duplicate", 7)]
    assert "a.yaml:4:3" in faults[0].message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + "kind: Issuers\n", "key-missing"),
        (HEAD + "kind: Issuers\nissuers: {}\n", "list-empty"),
        (HEAD + "kind: Issuers\nissuers: []\n", "value-type"),
        (ISSUERS.replace("[shop-api]", "[]"), "list-empty"),
        (ISSUERS.replace("    audiences: [shop-api]\n", ""), "key-missing"),
        (ISSUERS.replace("corp:", "'co rp':"), "name-invalid"),
        (ISSUERS.replace("[shop-api]", "[a, a]"), "name-duplicate"),
    ],
)
def test_issuers_are_named_and_say_their_audiences(text: str, code: str) -> None:
    """Audiences are required and never empty."""
    assert codes(text) == [code]


# Trust domains.


def test_trust_domains_become_settings() -> None:
    """Bundles by domain, roles by exact ID, trusted proxies."""
    settings = trust(
        TRUST + "roles:\n  caller: [spiffe://shop.example/a, spiffe://shop.example/b]\n"
        "  other: [spiffe://shop.example/a]\n"
    )

    assert settings.bundles == {"shop.example": BundleFile("bundles/shop.json")}
    assert settings.verified_by is PeerVerification.ENVOY
    assert settings.roles == {
        SpiffeId("shop.example", ("a",)): frozenset({"caller", "other"}),
        SpiffeId("shop.example", ("b",)): frozenset({"caller"}),
    }


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("{verified_by: envoy}", "{verified_by: istio}", "value-invalid"),
        ("{verified_by: envoy}", "{}", "key-missing"),
        ("peers: {verified_by: envoy}\n", "", "key-missing"),
        ("{verified_by: envoy}", "{verified_by: envoy, jwt_svid: {header: x-svid}}", "key-missing"),
        ("{verified_by: envoy}", "{verified_by: envoy, jwt_svid: {header: x-svid, audiences: []}}", "list-empty"),
        ("{verified_by: envoy}", "{verified_by: envoy, jwt_svid: {header: X, audiences: [a]}}", "identity-header"),
        (
            "{verified_by: envoy}",
            "{verified_by: envoy, jwt_svid: {header: authorization, audiences: [a]}}",
            "identity-header",
        ),
        (
            "{verified_by: envoy}",
            "{verified_by: envoy, jwt_svid: {header: x-authz-svid, audiences: [a]}}",
            "identity-header",
        ),
        ("{verified_by: envoy}", "{verified_by: envoy, envoy_validates_per_domain: 'yes'}", "value-type"),
        ("{verified_by: envoy}", "{verified_by: envoy, forwarded: {}}", "key-missing"),
        ("{verified_by: envoy}", "{verified_by: envoy, forwarded: {trusted_proxies: [x]}}", "spiffe-id"),
        (
            "{verified_by: envoy}",
            "{verified_by: envoy, forwarded: {trusted_proxies: ['spiffe://b.example/x']}}",
            "trust-domain-unknown",
        ),
        ("{shop.example:", "{Shop.example:", "name-invalid"),
        ("{bundle: {file: bundles/shop.json}}", "{}", "key-missing"),
        ("{file: bundles/shop.json}", "{}", "key-missing"),
        ("{file: bundles/shop.json}", "{file: /etc/x}", "value-invalid"),
        ("{shop.example: {bundle: {file: bundles/shop.json}}}", "{}", "list-empty"),
    ],
)
def test_what_trust_domains_cant_say_is_one_fault(old: str, new: str, code: str) -> None:
    """Each change alone breaks the document."""
    assert codes(TRUST.replace(old, new)) == [code]


@pytest.mark.parametrize(
    ("peers", "found"),
    [
        ("{verified_by: envoy}", ["trust-domain-validation"]),
        ("{verified_by: envoy, envoy_validates_per_domain: false}", ["trust-domain-validation"]),
        ("{verified_by: envoy, envoy_validates_per_domain: true}", []),
        ("{verified_by: certificate}", []),
    ],
)
def test_several_domains_behind_one_envoy_must_be_told_apart(peers: str, found: list[str]) -> None:
    """Else any domain's authority could mint a workload of another."""
    text = TRUST.replace("json}}}", "json}}, b.example: {bundle: {file: b.json}}}").replace(
        "{verified_by: envoy}", peers
    )

    assert codes(text) == found


def test_roles_are_of_exact_ids_in_known_domains() -> None:
    """A pattern is no SPIFFE ID, and another domain's workload can't have a role."""
    assert codes(TRUST + "roles: {r: ['spiffe://shop.example/a/*']}\n") == ["spiffe-id"]
    assert codes(TRUST + "roles: {r: ['spiffe://b.example/a']}\n") == ["trust-domain-unknown"]


# Guardrails.


def test_guardrails_say_who_protects_what() -> None:
    """Binding, destinations and shares keep their texts and places."""
    document = guardrails(
        "destinations: {'dns:www.shop.example': [storefront, orders-edge]}\n"
        "hosts: {api.shop.example: {orders: /orders/**}}\n"
    )

    assert document.bind is Bind.DESTINATION
    assert document.destinations is not None
    assert [text.value for text in document.destinations["dns:www.shop.example"]] == ["storefront", "orders-edge"]
    assert document.hosts["api.shop.example"]["orders"].value == "/orders/**"
    assert str(document.host_places["api.shop.example"]) == "a.yaml:5:9"


def test_without_destinations_there_is_no_empty_map() -> None:
    """An absent `destinations` gives nothing to nobody, which is something else than giving nothing."""
    assert guardrails("").destinations is None


def test_a_forbid_has_methods_and_exceptions() -> None:
    """The example of the language page."""
    found = guardrail(
        "{id: a, forbid: {public: true, methods: [POST]}, "
        "except: [{route: orders/webhook, why: signed, until: '2027-06-30'}]}"
    )

    assert found.forbid == ForbidPublic(methods=frozenset({"POST"}))
    assert [(item.route, item.why, item.until) for item in found.exemptions] == [
        ("orders/webhook", "signed", date(2027, 6, 30))
    ]


def test_a_require_and_a_deny_have_a_requirement_and_a_scope() -> None:
    """`for` takes one path or several; `absent` is ignored unless it is written."""
    require = guardrail("{id: a, for: {path: '/admin/**', methods: ['*']}, require: {user: {auth_age: {max: 15m}}}}")
    deny = guardrail("{id: b, for: {policies: [orders], hosts: [a.example]}, deny: {user: {}}, absent: denies}")

    assert isinstance(require.require, UserRequirement) and require.require.auth_age == 900.0
    assert [text.value for text in require.scope.paths] == ["/admin/**"]
    assert require.scope.methods == frozenset()
    assert not require.absent_denies
    assert (deny.scope.policies, deny.absent_denies) == (frozenset({"orders"}), True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{id: a}", ["value-invalid"]),
        ("{forbid: {public: true}}", ["key-missing"]),
        ("{id: a, forbid: {public: true}, deny: {user: {}}}", ["value-invalid"]),
        ("{id: a, forbid: {public: false}}", ["value-invalid"]),
        ("{id: a, forbid: {}}", ["key-missing"]),
        ("{id: a, forbid: {public: true, methods: []}}", ["list-empty"]),
        ("{id: a, forbid: {public: true, methods: [post]}}", ["value-invalid"]),
        ("{id: a, require: {user: {}}, absent: denies}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}, absent: maybe}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}, for: {}}", ["list-empty"]),
        ("{id: a, deny: {user: {}}, for: {paths: ['/a']}}", ["key-unknown"]),
        ("{id: a, deny: {user: {}}, for: {policies: ['a b']}}", ["name-invalid"]),
        ("{id: a, deny: {user: {}}, except: [{route: x, why: y}]}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}, except: [{route: x/y}]}", ["key-missing"]),
        ("{id: a, deny: {user: {}}, except: [{route: x/y, why: ''}]}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}, except: [{route: x/y, why: z, until: 2027-02-30}]}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}, except: [{route: x/y, why: z, until: soon}]}", ["value-invalid"]),
        ("{id: a, deny: {user: {}}}, {id: a, deny: {user: {}}}", ["name-duplicate"]),
    ],
)
def test_what_a_guardrail_cant_say_is_a_fault(text: str, found: list[str]) -> None:
    """Exactly one effect, an id of its own, exceptions with their why."""
    assert codes(GUARDRAILS + f"guardrails: [{text}]\n") == found


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("destinations: {}\n", "list-empty"),
        ("destinations: {'dns:x': []}\n", "list-empty"),
        ("destinations: {'dns:x': orders}\n", "value-type"),
        ("hosts: {a.example: {}}\n", "list-empty"),
        ("hosts: {a.example: {orders: {id}}}\n", "value-type"),
        ("guardrails: []\n", "list-empty"),
        ("limits: {}\n", "key-planned"),
    ],
)
def test_what_guardrails_cant_say_is_a_fault(extra: str, code: str) -> None:
    """Nothing is left empty that could be left out."""
    assert codes(GUARDRAILS + extra) == [code]
