"""Where each of several processes listens, and what several processes can't do."""

from __future__ import annotations

import pytest

from authz.config.load import load_settings
from authz.config.settings import Settings
from authz.config.workers import check_addresses, for_worker
from authz.model.errors import SettingsError


def settings(**flags: str) -> Settings:
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(flags=named, environ={"AUTHZ_CONFIG": ""}).settings


def test_each_worker_has_addresses_of_its_own() -> None:
    """Ports in steps of ten, sockets by number; the defaults leave room for each other."""
    chosen = settings(workers="3", listen="127.0.0.1:9000,unix:/run/a.sock")

    assert [str(each) for each in check_addresses(chosen)] == [
        "127.0.0.1:9000",
        "unix:/run/a.sock.0",
        "127.0.0.1:9010",
        "unix:/run/a.sock.1",
        "127.0.0.1:9020",
        "unix:/run/a.sock.2",
    ]
    assert str(for_worker(chosen, 2).admin_listen) == "127.0.0.1:9021"


def test_one_process_listens_where_it_is_told() -> None:
    """Without workers nothing is renamed."""
    assert [str(each) for each in check_addresses(settings(listen="unix:/run/a.sock"))] == ["unix:/run/a.sock"]


def test_a_free_port_stays_one() -> None:
    """Port 0 is a free one for each."""
    assert for_worker(settings(workers="2", listen="127.0.0.1:0"), 1).listen[0].port == 0


def test_revocations_are_taken_by_the_first_worker() -> None:
    """The others hear of them through the store."""
    chosen = settings(workers="2", store__url="redis://127.0.0.1:6379", revocation__socket="unix:/run/revoke.sock")

    assert str(for_worker(chosen, 0).revocation.socket) == "unix:/run/revoke.sock"
    assert for_worker(chosen, 1).revocation.socket is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"listen": "127.0.0.1:9000,127.0.0.1:9010"}, "127.0.0.1:9010 would be listened on twice"),
        ({"listen": "127.0.0.1:9000", "admin_listen": "127.0.0.1:9010"}, "127.0.0.1:9010 would be listened on twice"),
        ({"listen": "127.0.0.1:65530"}, "port 65540"),
        ({"listen": "unix:/" + "a" * 105}, "over 107 bytes"),
        ({"revocation__socket": "unix:/run/r.sock"}, "store.url"),
        ({"dpop__nonces": "true"}, "dpop.nonce_key_file"),
    ],
)
def test_what_several_processes_cant_do_is_refused(flags: dict[str, str], said: str) -> None:
    """With a sentence for each; one process may."""
    settings(**flags)
    with pytest.raises(SettingsError, match=said):
        settings(workers="2", **flags)
