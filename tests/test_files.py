"""Files are written whole or not at all; the cache lies where it is told to."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from types import SimpleNamespace

import pytest

from reprolib import files
from reprolib.errors import InputError


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as aside:
        assert aside.parent == tmp_path and aside != path
        aside.write_text("ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_rename_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "published.json"
    files.write_text(target, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["published.json"] and target.read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_a_new_file_has_the_rights_that_the_user_gives_and_a_replaced_one_keeps_its_own(tmp_path):
    def written() -> int:
        with files.replacing(path) as aside:
            aside.write_text("some")
            aside.chmod(0o600)  # as safetensors leaves it
        return path.stat().st_mode & 0o777

    path, before = tmp_path / "file", os.umask(0o027)
    try:
        assert written() == 0o640
        path.chmod(0o604)
        assert written() == 0o604
        assert os.umask(0o027) == 0o027  # as it was
    finally:
        os.umask(before)


def test_until_all_is_written_the_old_file_is_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with files.replacing(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.delenv("REPROLIB_CACHE")
    assert files.cache_folder().name == "reprolib"


def _link(path):
    path.with_name("elsewhere").write_text("old")
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("make", "kind"), [(_link, "a link to .*elsewhere"), (os.mkfifo, "a pipe"), (os.mkdir, "a folder")]
)
def test_what_is_no_plain_file_is_not_replaced(tmp_path, make, kind):
    path = tmp_path / "file"
    make(path)
    before = path.lstat().st_ino
    with pytest.raises(InputError, match=f"file is {kind}, which is not replaced"), files.replacing(path) as aside:
        aside.write_text("new")
    assert path.lstat().st_ino == before
    assert {one.name for one in tmp_path.iterdir()} <= {"file", "elsewhere"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
def test_space_is_taken_before_anything_is_written_and_what_is_there_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"head")
    with path.open("rb+") as file:
        file.truncate(10_000_000)
        sparse = path.stat().st_blocks
        files.reserve(file, 10_000_000)
    assert sparse * 512 < 10_000_000 <= path.stat().st_blocks * 512
    assert path.read_bytes()[:5] == b"head\0" and path.stat().st_size == 10_000_000


def test_room_is_looked_for_where_a_folder_will_be_and_nothing_is_left_there(tmp_path):
    files.check_room(tmp_path / "new" / "deeper", 1000)
    files.check_room(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("make", "kind"), [(_link, "a link to"), (os.mkfifo, "a pipe"), (os.mknod, "a file")])
def test_results_are_not_written_below_what_is_no_folder(tmp_path, make, kind):
    make(tmp_path / "file")
    with pytest.raises(InputError, match=f"file is {kind}.*no folder: results need a folder"):
        files.check_room(tmp_path / "file" / "below")


def test_a_disk_with_too_little_room_is_told_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 2**20))
    files.check_room(tmp_path, 3 * 2**20)
    with pytest.raises(InputError, match=r"has 3\.0 MiB free, and 4\.0 MiB are needed: make room"):
        files.check_room(tmp_path, 4 * 2**20)


def test_a_folder_that_may_not_be_written_to_is_told(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written to \(Permission denied\): give another folder"):
        files.check_room(tmp_path / "new")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
@pytest.mark.parametrize(("number", "told"), [(errno.EOPNOTSUPP, False), (errno.ENOSPC, True)])
def test_a_disk_that_cannot_reserve_is_used_all_the_same(tmp_path, monkeypatch, number, told):
    def allocate(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError) if told else contextlib.nullcontext():
        files.reserve(file, 10)
