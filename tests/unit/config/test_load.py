"""Settings: where each comes from, and every fault at once."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from authz.config.flags import add_flags, given_flags
from authz.config.load import load_settings, variable_name
from authz.config.reference import render
from authz.config.settings import Settings, build, descriptors, value_of
from authz.model.errors import SettingsError

ROOT = Path(__file__).parents[3]


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "authz.yaml"
    path.write_text(text)
    return path


def _faults(tmp_path: Path, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(file=_file(tmp_path, text), environ=environ)
    return tuple(fault.replace(f"{tmp_path}/", "") for fault in caught.value.faults)


def test_without_anything_all_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every setting says that it is one."""
    monkeypatch.chdir(tmp_path)

    loaded = load_settings()

    assert loaded.settings == Settings() == build({})
    assert {origin for _, _, origin in loaded.show()} == {"default"}
    assert [name for name, _, _ in loaded.show()] == [each.name for each in descriptors()]


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    """Each value remembers where it was written."""
    file = _file(tmp_path, "keys: {refresh: 1m, cooldown: 20s, timeout: 3s}\nreload_interval: 2s\n")

    loaded = load_settings(
        file=file,
        environ={"AUTHZ_KEYS__COOLDOWN": "30s", "AUTHZ_KEYS__TIMEOUT": "4s", "HOME": "/"},
        flags={"keys.timeout": "5s"},
    )

    keys = loaded.settings.keys
    assert (keys.refresh, keys.cooldown, keys.timeout, keys.max_stale) == (60.0, 30.0, 5.0, 86400.0)
    shown = {name: (value, origin.replace(str(file), "FILE")) for name, value, origin in loaded.show()}
    assert shown["keys.refresh"] == ("1m", "FILE:1:17")
    assert shown["keys.cooldown"] == ("30s", "AUTHZ_KEYS__COOLDOWN")
    assert shown["keys.timeout"] == ("5s", "--keys-timeout")
    assert shown["keys.max_stale"] == ("1d", "default")
    assert shown["reload_interval"] == ("2s", "FILE:2:18")


def test_every_fault_is_named_at_once_with_its_place(tmp_path: Path) -> None:
    """With a did-you-mean for what is misspelt."""
    text = "keys:\n  refersh: 1m\n  size: many\nlimit: {}\ntls: 5\nlisten: ['example.com:1']\nlog: {level: loud}\n"

    assert _faults(tmp_path, text, AUTHZ_KEYS__COOLDWN="1s", AUTHZ_DRAIN_GRACE="20") == (
        "authz.yaml:2:3: unknown key `refersh`; did you mean `refresh`?",
        "authz.yaml:3:9: keys.size: it is a size such as 512KiB",
        "authz.yaml:4:1: unknown key `limit`; did you mean `limits`?",
        "authz.yaml:5:6: tls: it is a mapping",
        "authz.yaml:6:9: listen: it is HOST:PORT with an IP address or localhost, [IPv6]:PORT or unix:PATH",
        "authz.yaml:7:14: log.level: it is one of debug, info, warning, error",
        "AUTHZ_DRAIN_GRACE: drain_grace: it is a duration with its unit, such as 200ms, 10s or 5m",
        "AUTHZ_KEYS__COOLDWN: unknown setting; did you mean `AUTHZ_KEYS__COOLDOWN`?",
    )


@pytest.mark.parametrize(
    "text",
    [
        "keys: {refresh: 1m}\nkeys: {refresh: 2m}\n",
        "listen: &a x\n",
        "a: !!python/name:os.system\n",
        "- 1\n",
        "{",
        "a: [",
        "reload_interval: 1s\n---\nreload_interval: 2s\n",
        "keys.refresh: 1m\n",
        "1: 2\n",
        "listen: []\n",
        "listen:\n",
        "policy_dir: {a: b}\n",
        "unsafe_plaintext: 1\n",
        "limits: {queue: true}\n",
        "limits: {queue: -1}\n",
        "limits: {queue: 1.5}\n",
        "listen: [127.0.0.1:1, 127.0.0.1:1]\n",
        "listen: [127.0.0.1:70000]\n",
    ],
)
def test_what_is_not_plainly_right_is_refused(tmp_path: Path, text: str) -> None:
    """Duplicates, aliases, tags, two documents, wrong types, values out of range."""
    assert _faults(tmp_path, text)


def test_an_absent_file_that_was_named_is_a_fault(tmp_path: Path) -> None:
    """Defaults don't stand in for a typing error."""
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(file=tmp_path / "missing.yaml")
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(environ={"AUTHZ_CONFIG": str(tmp_path / "missing.yaml")})


@pytest.mark.parametrize(
    "variable",
    [
        "AUTHZ_SERVICE_HOST",
        "AUTHZ_SERVICE_PORT",
        "AUTHZ_SERVICE_PORT_GRPC",
        "AUTHZ_PORT",
        "AUTHZ_PORT_9000_TCP",
        "AUTHZ_PORT_9000_TCP_ADDR",
        "AUTHZ_ADMIN_SERVICE_HOST",
    ],
)
def test_the_variables_of_kubernetes_are_no_settings(variable: str) -> None:
    """A Service named authz puts these into every pod of its namespace."""
    load_settings(environ={variable: "tcp://10.0.0.1:9000"})


def test_no_setting_looks_like_a_variable_of_kubernetes() -> None:
    """So that a misspelt one is never taken for one."""
    for each in descriptors():
        with pytest.raises(SettingsError):
            load_settings(environ={variable_name(each.name) + "X": "1"})


def test_every_setting_has_a_flag() -> None:
    """And lists may be repeated or separated by commas."""
    parser = argparse.ArgumentParser()
    add_flags(parser)

    namespace = parser.parse_args(
        ["--listen", "127.0.0.1:1,[::1]:2", "--listen", "unix:/run/a", "--keys-refresh", "1m"]
    )
    loaded = load_settings(flags=given_flags(namespace))

    assert [str(address) for address in loaded.settings.listen] == ["127.0.0.1:1", "[::1]:2", "unix:/run/a"]
    assert loaded.settings.keys.refresh == 60.0
    assert all(each.name in "".join(f" {a.dest}" for a in parser._actions) for each in descriptors())


def test_every_default_is_a_value_that_could_be_written() -> None:
    """What `config show` prints can be put back."""
    settings = Settings()
    for each in descriptors():
        shown = each.kind.show(value_of(settings, each.name))
        assert each.kind.read(shown) == value_of(settings, each.name), each.name


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tls: {cert: a.pem}\n", "it needs tls.key and tls.client_ca as well"),
        ("tls: {cert: a, key: b, client_ca: c}\n", "it needs tls.may_connect"),
        ("tls: {workload_api: 'unix:/a.sock'}\n", "it needs tls.may_connect"),
        ("tls: {workload_api: '127.0.0.1:80', may_connect: 'spiffe://a.example/x'}\n", "it is a Unix socket"),
        ("tls: {workload_api: 'unix:/a.sock', cert: a, may_connect: 'spiffe://a.example/x'}\n", "supplies it"),
        (
            "tls: {workload_api: 'unix:/a.sock', may_connect: ['spiffe://a.example/x', 'spiffe://b.example/x']}\n",
            "of one trust domain",
        ),
        ("tls: {spiffe_id: 'spiffe://a.example/x'}\n", "it needs tls.workload_api"),
        ("tls: {may_connect: ['spiffe://shop.example/envoy']}\n", "it needs tls.cert"),
        ("admin_listen: unix:/run/admin\n", "need HOST:PORT"),
        ("listen: 0.0.0.0:9000\n", "can be reached from outside"),
        ("listen: '[::]:9000'\n", "can be reached from outside"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    """Half of a TLS set-up, or an open port without any."""
    assert any(fault in each for each in _faults(tmp_path, text))


def test_an_open_port_is_possible_with_tls_or_on_purpose(tmp_path: Path) -> None:
    """The name of the second says what it is."""
    tls = "tls: {cert: a, key: b, client_ca: c, may_connect: 'spiffe://shop.example/envoy'}\n"

    load_settings(file=_file(tmp_path, f"listen: 0.0.0.0:9000\n{tls}"))
    load_settings(file=_file(tmp_path, "listen: 0.0.0.0:9000\nunsafe_plaintext: true\n"))


def test_the_reference_page_is_up_to_date() -> None:
    """`python -m authz.config.reference > docs/settings.md`"""
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == render()
