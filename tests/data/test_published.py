"""Files of the published sets: found, verified by their pixels, fetched safely."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_sets import LABELS, TEST_PAGES, VOLUME, archive, fill, good_archive, save, sha

from reprolib import data
from reprolib.data import published
from reprolib.errors import InputError

# --- finding and verifying


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_pixels_are_verified_however_the_file_is_compressed(small, compression):
    fill(small, compression=compression)
    loaded = data.load("isbi2012")
    assert np.array_equal(loaded.images, VOLUME)
    assert loaded.hashes == {"train-volume.tif": sha(VOLUME), "train-labels.tif": sha(LABELS)}
    assert all(row.ok for row in data.verify("isbi2012"))


def test_one_changed_pixel_is_found_and_both_hashes_are_told(small):
    changed = VOLUME.copy()
    changed[3, 2, 1] ^= 1
    fill(small, volume=changed)
    with pytest.raises(ValueError, match=f"train-volume.tif .*{sha(changed)[:12]}.*{sha(VOLUME)[:12]}"):
        data.load("isbi2012")
    rows = {row.file: row for row in data.verify("isbi2012")}
    assert not rows["train-volume.tif"].ok and rows["train-volume.tif"].found == sha(changed)
    assert rows["train-labels.tif"].ok


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so before it gives up
@pytest.mark.parametrize("keep", [0, 9, 200, -200])
def test_a_truncated_file_is_named(small, keep):
    fill(small)
    path = small / "isbi2012/train-labels.tif"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"train-labels\.tif"):
        data.load("isbi2012")
    row = data.verify("isbi2012")[1]
    assert not row.ok and "train-labels.tif" in row.found


def test_too_few_pages_are_named(small):
    fill(small, volume=VOLUME[:3])
    with pytest.raises(ValueError, match=r"train-volume.tif holds \(3, 12, 10\) .*expected \(5, 12, 10\)"):
        data.load("isbi2012")


def test_missing_data_says_what_to_fetch_and_where_to_place_it_and_downloads_nothing(small, monkeypatch):
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: pytest.fail("load must not download"))
    assert not data.present("isbi2012")
    with pytest.raises(data.MissingData) as told:
        data.load("isbi2012")
    assert isinstance(told.value, FileNotFoundError)
    for part in ("reprolib data fetch isbi2012", "https://", "REPROLIB_DATA", "isbi2012/train-volume.tif"):
        assert part in str(told.value)


def test_an_incomplete_set_says_what_is_lacking(small):
    fill(small)
    (small / "isbi2012/train-labels.tif").unlink()
    assert not data.present("isbi2012")
    with pytest.raises(data.MissingData, match=r"not complete.*train-labels\.tif"):
        data.load("isbi2012")


def test_the_order_of_search_is_argument_then_variable_then_cache(small, tmp_path):
    cached = tmp_path / "cache/data"
    fill(cached)
    assert published.set_folder("isbi2012") == cached / "isbi2012"
    fill(small, folder="ISBI-2012-challenge")  # as the published archive names it
    assert published.set_folder("isbi2012") == small / "ISBI-2012-challenge"
    fill(tmp_path / "other")
    assert published.set_folder("isbi2012", tmp_path / "other") == tmp_path / "other/isbi2012"
    assert not data.present("isbi2012", tmp_path / "empty")  # a folder that is named is the only one


def test_an_unknown_name_gets_the_nearest():
    for call in (data.load, data.present, data.verify, data.download):
        with pytest.raises(ValueError, match="did you mean 'isbi2012'"):
            call("isbi-2012")
    with pytest.raises(ValueError, match="choose one of"):
        data.load("")


def test_phantoms_are_always_present_and_need_neither_fetch_nor_verification():
    for name in data.PHANTOM_OF.values():
        assert data.present(name)
        with pytest.raises(ValueError, match="made from a seed"):
            data.verify(name)
        with pytest.raises(ValueError, match="made from a seed"):
            data.download(name)


# --- fetching


def test_a_download_is_verified_kept_and_not_repeated(publisher, tmp_path):
    publisher.content = good_archive(tmp_path)
    assert data.download("isbi2012") == tmp_path / "cache/data/isbi2012"
    assert np.array_equal(data.load("isbi2012").images, VOLUME)
    data.download("isbi2012")
    assert publisher.asked == 1
    assert [path.name for path in (tmp_path / "cache/data").iterdir()] == ["isbi2012"]


def test_a_damaged_copy_in_the_cache_is_replaced(publisher, tmp_path):
    fill(tmp_path / "cache/data", volume=VOLUME[::-1])
    publisher.content = good_archive(tmp_path)
    data.download("isbi2012")
    assert np.array_equal(data.load("isbi2012").images, VOLUME)


def test_other_pixels_than_published_are_refused_and_leave_nothing(publisher, tmp_path):
    publisher.content = good_archive(tmp_path, volume=VOLUME[::-1])
    with pytest.raises(ValueError, match=r"train-volume\.tif from .* does not hold the published pixels"):
        data.download("isbi2012")
    assert not list((tmp_path / "cache/data").iterdir())


def test_an_odd_file_that_nothing_needs_does_not_spoil_a_download(publisher, tmp_path, with_test_labels):
    for odd in (TEST_PAGES[::-1], TEST_PAGES[:3]):  # other pixels, too few pages
        save(tmp_path / "odd.tif", odd)
        fill(tmp_path / "made")
        names = ("train-volume.tif", "train-labels.tif")
        members = {f"a/{name}": (tmp_path / "made/isbi2012" / name).read_bytes() for name in names}
        publisher.content = archive(members | {"a/test-labels.tif": (tmp_path / "odd.tif").read_bytes()})
        folder = data.download("isbi2012")
        rows = {row.file: row.ok for row in published.verify_folder("isbi2012", folder)}
        assert rows == {"train-volume.tif": True, "train-labels.tif": True, "test-labels.tif": False}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>moved</html>", "not a sound zip"),
        (archive({"a/readme.txt": "x"}), "does not hold train-volume"),
    ],
)
def test_something_else_than_the_set_is_refused_and_leaves_nothing(publisher, tmp_path, content, why):
    publisher.content = content
    with pytest.raises(ValueError, match=why):
        data.download("isbi2012")
    assert not list((tmp_path / "cache/data").iterdir())


def test_an_archive_with_a_flipped_byte_is_refused(publisher, tmp_path):
    broken = bytearray(good_archive(tmp_path))
    broken[300] ^= 255
    publisher.content = bytes(broken)
    with pytest.raises(ValueError, match="not a sound zip"):
        data.download("isbi2012")


def test_an_address_that_does_not_answer_is_an_oserror_that_tells_the_other_way(publisher, tmp_path):
    publisher.shutdown()
    publisher.server_close()
    with pytest.raises(OSError, match=r"could not be fetched from .*REPROLIB_DATA"):
        data.download("isbi2012")


def link_archive():
    entry = zipfile.ZipInfo("link.tif")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return archive({entry: "/etc/passwd"})


@pytest.mark.parametrize(
    "content",
    [archive({name: "x"}) for name in ("../evil.tif", "a/../../evil.tif", "/evil.tif", "C:/evil.tif", "..\\evil.tif")]
    + [link_archive()],
    ids=["parent", "hidden parent", "absolute", "drive", "backslash", "link"],
)
def test_archive_members_cannot_leave_the_folder(tmp_path, content):
    path = tmp_path / "bad.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"refused: its member .*(points outside|is a link)"):
        published.unpack(path, tmp_path / "in")
    assert not (tmp_path / "in").exists() and not list(tmp_path.glob("evil*"))


def test_an_archive_that_unpacks_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "UNPACKED_LIMIT", 100)
    path = tmp_path / "large.zip"
    path.write_bytes(archive({"zeros.tif": bytes(101)}))
    with pytest.raises(ValueError, match="more than 100 bytes"):
        published.unpack(path, tmp_path / "in")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_of_any_method_is_unpacked_or_told_in_one_sentence(tmp_path, method):
    rng, buffer, told = np.random.default_rng(0), io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr("set/01/t000.tif", bytes(range(256)) * 20)
        file.writestr("set/\u00e9.txt", "x" * 500)
    whole = buffer.getvalue()
    for trial in range(200):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 10 == 0 else whole)
        for _ in range(1 + trial % 3):
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        (tmp_path / "a.zip").write_bytes(damaged)
        try:
            published.unpack(tmp_path / "a.zip", tmp_path / str(trial))
        except InputError as error:
            assert "\n" not in str(error)
            told += 1
    assert told > 100


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("x" * 300,)], ids=["file", "folder", "long"])
def test_an_archive_whose_members_fit_no_disk_is_told(tmp_path, names):
    (tmp_path / "a.zip").write_bytes(archive(dict.fromkeys(names, "x")))
    with pytest.raises(InputError, match="not a sound zip archive"):
        published.unpack(tmp_path / "a.zip", tmp_path / "in")


def test_an_archive_of_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "MOST_MEMBERS", 2)
    (tmp_path / "a.zip").write_bytes(archive({"a": "", "b": "", "c": ""}))
    with pytest.raises(InputError, match="more than 2 members"):
        published.unpack(tmp_path / "a.zip", tmp_path / "in")


def test_a_disk_without_room_is_no_fault_of_the_archive(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(archive({"a": bytes(2**20)}))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**19))
        with pytest.raises(InputError, match=r"has 0\.5 MiB free, and 1\.0 MiB are needed"):
            published.unpack(tmp_path / "a.zip", tmp_path / "in")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(OSError, match="No space left"):
        published.unpack(tmp_path / "a.zip", tmp_path / "in")
