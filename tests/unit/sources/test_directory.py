"""Reading a policy directory: what belongs to it, and that nothing is silently left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from authz.sources import directory
from authz.sources.directory import DirectoryError, read_directory, read_policy_directory
from authz.sources.files import Signature, read_signed


def _write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_policies_are_read_from_sub_directories_too(tmp_path: Path) -> None:
    """Keys are relative paths with slashes; other files aren't policies."""
    _write(tmp_path, a_yaml="1", team__b_yaml="2", team__deep__c_yml="3", notes="4")
    (tmp_path / "D.YAML").write_text("5")

    assert read_policy_directory(tmp_path) == {
        "a.yaml": b"1",
        "team/b.yaml": b"2",
        "team/deep/c.yml": b"3",
        "D.YAML": b"5",
    }


def test_names_that_begin_with_a_dot_are_skipped(tmp_path: Path) -> None:
    """Files and directories."""
    _write(tmp_path, a_yaml="1")
    (tmp_path / ".hidden.yaml").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/b.yaml").write_text("x")

    assert list(read_policy_directory(tmp_path)) == ["a.yaml"]


def _mount(root: Path, version: str, **files: str) -> None:
    """What the kubelet does: a new directory, then one rename of the `..data` link."""
    data = root / f"..{version}"
    data.mkdir()
    for name, text in files.items():
        (data / f"{name}.yaml").write_text(text)
        link = root / f"{name}.yaml"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.yaml")
    (root / "..tmp").symlink_to(data.name)
    (root / "..tmp").rename(root / "..data")


def test_a_kubernetes_mount_is_read_once(tmp_path: Path) -> None:
    """Through its links, not through `..data` as well."""
    _mount(tmp_path, "v1", a="1", b="2")

    assert read_policy_directory(tmp_path) == {"a.yaml": b"1", "b.yaml": b"2"}


def test_a_swap_in_the_middle_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No set is ever half old and half new."""
    _mount(tmp_path, "v1", a="old", b="old")
    reads: list[str] = []

    def read_and_swap(path: Path, *, limit: int = 0) -> tuple[bytes, Signature]:
        found = read_signed(path)
        if not reads:
            _mount(tmp_path, "v2", a="new", b="new")
        reads.append(path.name)
        return found

    monkeypatch.setattr(directory, "read_signed", read_and_swap)

    assert read_policy_directory(tmp_path) == {"a.yaml": b"new", "b.yaml": b"new"}
    assert len(reads) == 4


def test_a_directory_that_never_rests_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read a bounded number of times."""
    _write(tmp_path, a_yaml="1")
    count = 0

    def read_and_touch(path: Path, *, limit: int = 0) -> tuple[bytes, Signature]:
        nonlocal count
        count += 1
        found = read_signed(path)
        path.write_text("x" * count)
        return found

    monkeypatch.setattr(directory, "read_signed", read_and_touch)

    with pytest.raises(DirectoryError, match="changes while"):
        read_policy_directory(tmp_path)
    assert count == directory.MAX_ATTEMPTS


def test_a_dangling_link_is_a_fault(tmp_path: Path) -> None:
    """It may stand for a policy that denies."""
    _write(tmp_path, a_yaml="1")
    (tmp_path / "b.yaml").symlink_to("nowhere")

    with pytest.raises(DirectoryError) as caught:
        read_policy_directory(tmp_path)

    assert [(str(fault.place), fault.code) for fault in caught.value.faults] == [("b.yaml:1:1", "file-unreadable")]


def test_a_fifo_is_a_fault_and_does_not_hang(tmp_path: Path) -> None:
    """Only regular files count as policies."""
    os.mkfifo(tmp_path / "a.yaml")

    with pytest.raises(DirectoryError, match="regular"):
        read_directory(tmp_path)


def test_a_loop_of_links_is_a_fault(tmp_path: Path) -> None:
    """Depth is bounded."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/up").symlink_to("..")

    with pytest.raises(DirectoryError, match="levels"):
        read_directory(tmp_path)


def test_an_absent_directory_is_a_fault(tmp_path: Path) -> None:
    """Not an empty policy."""
    with pytest.raises(DirectoryError, match="no such"):
        read_directory(tmp_path / "missing")


def test_a_huge_file_is_a_fault(tmp_path: Path) -> None:
    """Sizes are bounded before content is kept."""
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(5 * 1024 * 1024)

    with pytest.raises(DirectoryError, match="over"):
        read_directory(tmp_path)


def test_too_many_files_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody pointed at the wrong directory."""
    monkeypatch.setattr(directory, "MAX_FILES", 2)
    _write(tmp_path, a_yaml="1", b_yaml="1", c_yaml="1", d_yaml="1")

    with pytest.raises(DirectoryError, match="over 2"):
        read_directory(tmp_path)


def test_a_name_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """Bytes that aren't UTF-8 can't be reported or sorted safely."""
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.yaml"))).write_text("1")

    with pytest.raises(DirectoryError, match="UTF-8"):
        read_directory(tmp_path)
