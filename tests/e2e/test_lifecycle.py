"""Changes while traffic flows: reloads, mounts, restarts, and an authz that is gone."""

from __future__ import annotations

from pathlib import Path

from examples.store.processes import wait_for
from examples.store.provider_web import log_in
from tests.e2e.edge import HOST, POLICY, Edge, public_route, send_plain
from tests.e2e.load import Load


def test_a_reload_under_load_loses_nothing(own_edge: Edge) -> None:
    """While the policy changes five times, each request gets the answer that both versions give."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy()
    headers = _as_alice(edge)

    with Load(edge.ports[True], "/own/alice", headers) as load:
        for name in ("one", "two", "three", "four", "five"):
            edge.add_route(name)
            wait_for(f"route {name}", lambda name=name: edge.send("GET", f"/{name}").status == 200)
        load.wait_for_more(50)

    assert load.outcomes.keys() == {200}, load.outcomes


def test_a_faulty_policy_keeps_its_last_good_version(own_edge: Edge) -> None:
    """What worked goes on working, the detail of readiness names the fault, and a correction is taken up."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy()
    file = edge.policy / "edge.yaml"
    good = file.read_text()

    file.write_text(good.replace("path: /healthz", "path: healthz"))
    wait_for("the fault", lambda: b"edge" in _readiness(edge) and b"fault" in _readiness(edge).lower())
    during = edge.send("GET", "/healthz")
    file.write_text(good + public_route("mended"))

    assert during.status == 200
    wait_for("the mended policy", lambda: edge.send("GET", "/mended").status == 200)


def test_a_configmap_mount_is_read_once_and_followed(own_edge: Edge, tmp_path: Path) -> None:
    """Kubernetes swaps the `..data` link: the new version counts, and no file is read twice."""
    edge = own_edge
    mount = tmp_path / "mount"
    mount.mkdir()
    _publish(mount, "..2026_11_21", {file.name: file.read_text() for file in edge.policy.iterdir()})
    edge.start_authz(policy_dir=str(mount))
    edge.start_envoy()
    before = edge.send("GET", "/added")

    added = {file.name: file.read_text() for file in edge.policy.iterdir()}
    added["edge.yaml"] += public_route("added")
    _publish(mount, "..2026_11_22", added)

    assert before.status == 403
    wait_for("the new version", lambda: edge.send("GET", "/added").status == 200)


def test_a_replacement_beside_it_and_sigterm_under_load_lose_nothing(own_edge: Edge) -> None:
    """The second authz starts, the first is told to stop and ends cleanly: no request is denied or dropped."""
    edge = own_edge
    first = edge.start_authz(health_wait="2s")
    second_port = edge.reserve_authz_port()
    edge.start_envoy(authz_ports=(first.port, second_port))
    headers = _as_alice(edge)

    with Load(edge.ports[True], "/own/alice", headers) as load:
        load.wait_for_more(100)
        edge.start_authz(listen=f"127.0.0.1:{second_port}")
        load.wait_for_more(100)
        first.process.terminate()
        exit_code = first.process.wait(within=15)
        load.wait_for_more(100)

    assert exit_code == 0
    assert load.outcomes.keys() == {200}, load.outcomes


def test_a_dead_authz_means_403(own_edge: Edge) -> None:
    """Nobody answers: Envoy denies, public routes too, and the application sees nothing."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy()
    alive = edge.send("GET", "/healthz")
    served = edge.application.served

    edge.authz.process.kill()
    dead = [edge.send("GET", target) for target in ("/healthz", "/optional", "/both")]

    assert alive.status == 200
    assert [answer.status for answer in dead] == [403, 403, 403]
    assert edge.application.served == served


def test_the_fixture_policy_is_what_runs(own_edge: Edge) -> None:
    """The copy differs from the committed policy in the issuers' addresses only."""
    for file in own_edge.policy.iterdir():
        text = file.read_text()
        for committed, real in own_edge.issuers().items():
            text = text.replace(real, committed)

        assert text == (POLICY / file.name).read_text()


def _as_alice(edge: Edge) -> dict[str, str]:
    return {"Host": HOST, "Authorization": f"Bearer {log_in(edge.idp.provider.issuer, 'alice')}"}


def _readiness(edge: Edge) -> bytes:
    return send_plain(edge.authz.admin_port, "GET", "/readyz?verbose", {"Host": "localhost"}).body


def _publish(mount: Path, version: str, files: dict[str, str]) -> None:
    """As the kubelet does it: a directory per version, `..data` points to it, visible names point into `..data`."""
    (mount / version).mkdir()
    for name, text in files.items():
        (mount / version / name).write_text(text)
    fresh = mount / "..data_tmp"
    fresh.symlink_to(version)
    fresh.replace(mount / "..data")
    for name in files:
        link = mount / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
