"""What happens to requests when containers die, hang, lose each other or are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from examples.store.processes import wait_for
from tests.containers.cluster import Cluster


def test_the_edge_decides(cluster: Cluster) -> None:
    """The starting point: a valid token is let through to the application, none is not."""
    allowed, denied = cluster.ask(token=cluster.token()), cluster.ask()

    assert (allowed.status, allowed.document["service"]) == (200, "gateway")
    assert (denied.status, cluster.reason(denied)) == (401, "credential_missing")


def test_a_killed_replica_loses_nothing(cluster: Cluster) -> None:
    """SIGKILL under load: Envoy's retry policy carries each check over to the other replica."""
    with cluster.load(cluster.token()) as load:
        load.wait_for_more(100)
        cluster.kill("authz-1")
        load.wait_for_more(200)

    cluster.start_authz("authz-3")
    assert load.outcomes.keys() == {200}, load.outcomes


def test_a_rolling_replacement_of_both_replicas_loses_nothing(cluster: Cluster) -> None:
    """One after the other: the new one is healthy, then the old one is told to stop and drains."""
    old = list(cluster.authz)
    codes = []
    with cluster.load(cluster.token()) as load:
        for name in old:
            load.wait_for_more(50)
            cluster.start_authz(f"{name}-next")
            load.wait_for_more(50)
            codes.append(cluster.stop(name))
        load.wait_for_more(100)

    assert load.outcomes.keys() == {200}, load.outcomes
    assert codes == [0, 0]


def test_a_partition_between_envoy_and_authz_fails_closed(cluster: Cluster) -> None:
    """Nobody can be asked: every request is denied, public routes too, and nothing reaches the application."""
    token = cluster.token()
    with cluster.partition():
        answers = [cluster.ask(target, token=token) for target in ("/", "/healthz", "/orders/42")]

    assert [answer.status for answer in answers] == [403, 403, 403]
    assert [answer.document for answer in answers] == [{}, {}, {}]
    wait_for("the other side again", lambda: cluster.ask(token=token).status == 200, within=20)


def test_a_paused_redis_stops_no_request(cluster: Cluster) -> None:
    """Decisions come from memory: with the store hanging they go on, and none takes as long as its timeout."""
    token = cluster.token()
    with cluster.redis_paused(), cluster.load(token) as load:
        load.wait_for_more(200)

    assert load.outcomes.keys() == {200}, load.outcomes


def test_a_revocation_reaches_both_replicas_through_redis(cluster: Cluster) -> None:
    """Said to one replica, in force in every one, also in one that starts afterwards."""
    token = cluster.token("bob")
    first = next(iter(cluster.authz))
    before = cluster.ask(token=token)
    code, output = cluster.say(first, "authz", "revoke", "subject", "bob", "--issuer", "corp", "--why", "a test")
    assert code == 0, output
    with cluster.replica("authz-late"):
        wait_for("the revocation", lambda: cluster.ask(token=token).status == 401, within=5)
        after = {cluster.ask(token=token).status for _ in range(30)}

    assert before.status == 200
    assert after == {401}


def test_a_policy_mount_that_is_swapped_at_once_is_followed(cluster: Cluster, tmp_path: Path) -> None:
    """Kubernetes replaces a ConfigMap by turning one link: under load the new version counts, and nothing is lost."""
    tmp_path.chmod(0o755)
    _publish(tmp_path, cluster.policy, "..2026_11_24", lambda text: text)
    for name in list(cluster.authz):
        cluster.stop(name)
    cluster.start_authz("authz-mount", mounts={tmp_path: "/mount"}, environment={"AUTHZ_POLICY_DIR": "/mount"})
    wait_for("the way through Envoy", lambda: cluster.ask("/healthz").status == 200, within=20)
    before = cluster.ask("/added")

    with cluster.load(cluster.token()) as load:
        load.wait_for_more(50)
        _publish(tmp_path, cluster.policy, "..2026_11_25", _with_added_route)
        wait_for("the new version", lambda: cluster.ask("/added").status == 200, within=10)
        load.wait_for_more(50)

    assert before.status == 403
    assert load.outcomes.keys() == {200}, load.outcomes


def _publish(mount: Path, source: Path, version: str, change: Callable[[str], str]) -> None:
    """As the kubelet does it: a folder per version, `..data` points to it, visible names point through `..data`."""
    for file in source.rglob("*"):
        if file.is_file():
            target = mount / version / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(change(file.read_text()))
    fresh = mount / "..data_tmp"
    fresh.symlink_to(version)
    fresh.replace(mount / "..data")
    for entry in source.iterdir():
        visible = mount / entry.name
        if not visible.is_symlink():
            visible.symlink_to(Path("..data") / entry.name)


def _with_added_route(text: str) -> str:
    """One more public route at the gateway."""
    route = "  - id: added\n    match:\n      methods: [GET]\n      path: /added\n    allow: {public: added}\n"
    return text + route if "name: gateway" in text and "kind: RoutePolicy" in text else text
