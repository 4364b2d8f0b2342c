"""Data sets: found, verified, fetched safely; where gold frames are not annotated; folders of one's own."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import stat
import threading
import zipfile
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from reprolib import data, files, sources

PAGES, SIZE = 5, (12, 10)
RNG = np.random.default_rng(7)
VOLUME = RNG.integers(0, 256, size=(PAGES, *SIZE), dtype=np.uint8)
LABELS = np.where(RNG.random((PAGES, *SIZE)) < 0.3, 0, 255).astype(np.uint8)


def save(path, pages, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=rest, **options) if rest else first.save(path, **options)


def sha(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The table's isbi2012 with tiny arrays, and empty folders for data and cache; yields the data folder."""
    arrays = {
        "train-volume.tif": sources.Pixels(PAGES, "uint8", sha(VOLUME)),
        "train-labels.tif": sources.Pixels(PAGES, "uint8", sha(LABELS)),
    }
    source = dataclasses.replace(sources.SOURCES["isbi2012"], arrays=arrays, size=SIZE)
    monkeypatch.setitem(sources.SOURCES, "isbi2012", source)
    monkeypatch.setenv("REPROLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


def fill(top, folder="isbi2012", volume=VOLUME, labels=LABELS, **options):
    save(top / folder / "train-volume.tif", volume, **options)
    save(top / folder / "train-labels.tif", labels, **options)


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def good_archive(tmp_path, **changes):
    fill(tmp_path / "made", **changes)
    names = ("train-volume.tif", "train-labels.tif")
    return archive({f"ISBI-2012/{name}": (tmp_path / "made/isbi2012" / name).read_bytes() for name in names})


@pytest.fixture
def publisher(small, monkeypatch):
    """A web server on this machine that hands out ``publisher.content`` and counts the requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.content)))
            self.end_headers()
            self.wfile.write(server.content)

        def log_message(self, *ignored):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.content = 0, b""
    address = f"http://127.0.0.1:{server.server_port}/set.zip"
    changed = dataclasses.replace(sources.SOURCES["isbi2012"], address=address)
    monkeypatch.setitem(sources.SOURCES, "isbi2012", changed)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


# finding and verifying


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_pixels_are_verified_however_the_file_is_compressed(small, compression):
    fill(small, compression=compression)
    loaded = data.load("isbi2012")
    assert np.array_equal(loaded.images, VOLUME)
    assert loaded.hashes == {"train-volume.tif": sha(VOLUME), "train-labels.tif": sha(LABELS)}
    assert all(row.ok for row in data.verify("isbi2012"))


def test_em_cells_are_the_4_connected_components_of_label_255(small):
    fill(small)
    loaded = data.load("isbi2012")
    for labels, instances in zip(LABELS, loaded.instances, strict=True):
        assert np.array_equal(instances > 0, labels == 255)
        assert flooded(labels == 255) == {frozenset(np.flatnonzero(instances == k)) for k in ids(instances)}
    assert loaded.instances.dtype == np.int32 and not loaded.ignore.any() and not loaded.phantom


def ids(instances):
    return [k for k in np.unique(instances) if k]


def flooded(mask):
    """4-connected components by flood fill, as sets of flat indices."""
    left, found = set(zip(*np.nonzero(mask), strict=True)), set()
    while left:
        piece, edge = set(), {left.pop()}
        while edge:
            piece |= edge
            edge = {(y + a, x + b) for y, x in edge for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))} & left
            left -= edge
        found.add(frozenset(int(y * mask.shape[1] + x) for y, x in piece))
    return found


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
    assert files.find("isbi2012") == cached / "isbi2012"
    fill(small, folder="ISBI-2012-challenge")  # as the published archive names it
    assert files.find("isbi2012") == small / "ISBI-2012-challenge"
    fill(tmp_path / "other")
    assert files.find("isbi2012", tmp_path / "other") == tmp_path / "other/isbi2012"
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


def test_every_source_has_hashes_terms_a_citation_and_an_address_of_its_publisher():
    assert set(sources.SOURCES) == set(data.REAL) == set(data.PHANTOM_OF)
    for source in sources.SOURCES.values():
        assert source.address.startswith("https://") and source.address.endswith(".zip")
        assert source.terms.endswith(".") and all("doi:" in reference for reference in source.cite)
        for spec in source.arrays.values():
            assert len(bytes.fromhex(spec.sha256)) == 32
            assert spec.numbers is None or len(spec.numbers) == spec.count == len(set(spec.numbers))


# labels that came later than the paper


TEST_PAGES = np.random.default_rng(3).choice(np.array([0, 255], np.uint8), size=(PAGES, *SIZE), p=[0.3, 0.7])


@pytest.fixture
def with_test_labels(small, monkeypatch):
    """The tiny set with test labels of which rows 4 to 11 are published; their folder."""
    spec = sources.Pixels(PAGES, "uint8", sha(TEST_PAGES[:, 4:12].copy()), needed=False, rows=(4, 12))
    source = sources.SOURCES["isbi2012"]
    changed = dataclasses.replace(source, arrays=source.arrays | dict.fromkeys(sources.TEST_LABELS, spec))
    monkeypatch.setitem(sources.SOURCES, "isbi2012", changed)
    monkeypatch.setattr(data, "TEST_ROWS", (4, 12))
    fill(small)
    return small / "isbi2012"


@pytest.mark.parametrize("name", sources.TEST_LABELS)
def test_only_the_published_rows_of_test_labels_are_read_and_verified(with_test_labels, name):
    pages = TEST_PAGES.copy()
    pages[:, :4] = 127  # whatever is above them
    save(with_test_labels / name, pages)
    assert np.array_equal(data.test_labels(), TEST_PAGES[:, 4:])
    rows = {row.file: row for row in files.verify_folder("isbi2012", with_test_labels)}
    assert rows[name].ok and len(rows) == 3  # the other one is not there, and not asked for
    pages[2, 4, 1] ^= 255
    save(with_test_labels / name, pages)
    with pytest.raises(ValueError, match=rf"{name} does not hold the published pixels"):
        data.test_labels()
    assert not {row.file: row.ok for row in files.verify_folder("isbi2012", with_test_labels)}[name]


def test_the_archives_own_test_labels_go_before_the_recovered_ones(with_test_labels):
    own, recovered = (with_test_labels / name for name in sources.TEST_LABELS)
    save(recovered, TEST_PAGES)
    assert np.array_equal(data.test_labels(), TEST_PAGES[:, 4:])
    save(own, TEST_PAGES[::-1])
    with pytest.raises(ValueError, match=r"test-labels\.tif does not hold"):
        data.test_labels()


def test_without_test_labels_one_sentence_says_where_they_lie(with_test_labels):
    with pytest.raises(data.MissingData, match=r"lacks test-labels\.tif, .*archive of the challenge, https://") as told:
        data.test_labels()
    assert "\n" not in str(told.value)
    assert data.present("isbi2012")  # the set is complete without them


def test_test_labels_are_no_images(with_test_labels):
    save(with_test_labels / "test-labels.tif", TEST_PAGES)
    with pytest.raises(ValueError, match=r"no images 'test-labels\.tif'"):
        data.frames("isbi2012", "test-labels.tif")


# fetching


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
        rows = {row.file: row.ok for row in files.verify_folder("isbi2012", folder)}
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
        files.unpack(path, tmp_path / "in")
    assert not (tmp_path / "in").exists() and not list(tmp_path.glob("evil*"))


def test_an_archive_that_unpacks_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "UNPACKED_LIMIT", 100)
    path = tmp_path / "large.zip"
    path.write_bytes(archive({"zeros.tif": bytes(101)}))
    with pytest.raises(ValueError, match="more than 100 bytes"):
        files.unpack(path, tmp_path / "in")


# gold frames that are not annotated everywhere


def scene():
    """Three cells with markers 4, 5 and 9, of which 9 has no mask; masks are numbered otherwise."""
    gold, markers = np.zeros((2, 60, 90), dtype=np.uint16)
    gold[10:30, 5:25], gold[35:55, 10:35] = 1, 2
    markers[18:22, 12:16], markers[44:48, 20:24], markers[28:31, 70:73] = 5, 4, 9
    return gold, markers


def test_a_marker_without_a_mask_is_found():
    gold, markers = scene()
    assert data.unmasked_markers(gold, markers) == [9]
    assert data.unmasked_markers(gold, gold) == []


def test_a_neighbours_mask_that_grazes_a_marker_is_not_its_mask():
    gold, markers = scene()
    gold[20:29, 60:75] = 3  # one of the marker's three rows
    assert data.unmasked_markers(gold, markers) == [9]
    gold[29] = gold[28]
    assert data.unmasked_markers(gold, markers) == []


def test_the_pixels_nearest_to_an_unmasked_marker_are_ignored_less_the_masks():
    gold, markers = scene()
    ignored = data.unannotated(gold, markers)
    points = np.argwhere(markers > 0)
    for y, x in np.random.default_rng(0).integers((0, 0), gold.shape, size=(400, 2)):
        square = ((points - (y, x)) ** 2).sum(axis=1)
        nearest = {int(markers[tuple(point)]) for point in points[square == square.min()]}
        if len(nearest) == 1:  # at equal distances either will do
            assert ignored[y, x] == (nearest == {9} and gold[y, x] == 0)


def test_a_fully_masked_frame_is_annotated_everywhere():
    gold, markers = scene()
    markers[markers == 9] = 0
    assert not data.unannotated(gold, markers).any()


def test_where_most_cells_have_no_mask_only_the_masks_and_a_ring_count():
    gold, markers = scene()
    gold[gold == 2] = 0  # one mask for three markers
    ignored = data.unannotated(gold, markers, ring=6)
    assert data.unmasked_markers(gold, markers) == [4, 9]
    ys, xs = np.nonzero(gold)
    for y, x in np.argwhere(~ignored):
        assert np.hypot(ys - y, xs - x).min() <= 6
    assert not ignored[gold > 0].any()
    assert not ignored[10:20, 26:30].any()  # the ring, where the masked cell's own marker is the nearest


def test_cell_sets_take_gold_frames_only_and_hold_out_whole_videos(small, monkeypatch):
    chosen = {"01": (1, 3), "02": (0, 2, 3)}
    arrays, root = {}, small / "DIC-C2DH-HeLa"
    gold, markers = scene()
    for video, numbers in chosen.items():
        frames = RNG.integers(0, 256, size=(4, *gold.shape), dtype=np.uint8)
        seg = np.stack([gold * (k + 1) for k in range(len(numbers))])
        tra = np.stack([markers] * 4)
        tra[numbers[0]][markers == 9] = 0  # the first gold frame of each video is annotated everywhere
        for part, stem, stack, stamps in (
            (video, "t", frames, range(4)),
            (f"{video}_GT/SEG", "man_seg", seg, numbers),
            (f"{video}_GT/TRA", "man_track", tra, range(4)),
        ):
            for stamp, page in zip(stamps, stack, strict=True):
                save(root / part / f"{stem}{stamp:03d}.tif", [page], compression="tiff_lzw")
            listed = tuple(stamps) if "SEG" in part else None
            arrays[part] = sources.Pixels(len(stack), str(stack.dtype), sha(stack), numbers=listed)
        arrays[video + " frames"] = frames
    frames = {video: arrays.pop(video + " frames") for video in chosen}
    (root / "01/._t000.tif").write_bytes(b"left by another system")
    source = dataclasses.replace(sources.SOURCES["dic-hela"], arrays=arrays, size=gold.shape)
    monkeypatch.setitem(sources.SOURCES, "dic-hela", source)

    loaded = data.load("dic-hela")
    assert loaded.names == ("01/t001", "01/t003", "02/t000", "02/t002", "02/t003")
    assert loaded.folds == ((0, 1), (2, 3, 4))
    wanted = np.concatenate([frames[video][list(chosen[video])] for video in chosen])
    assert np.array_equal(loaded.images, wanted)
    assert np.array_equal(loaded.instances[3], 2 * gold) and loaded.instances.dtype == np.int32
    assert loaded.ignore.any(axis=(1, 2)).tolist() == [False, True, False, True, True]

    seg = root / "02_GT/SEG"
    (seg / "man_seg002.tif").rename(seg / "man_seg001.tif")
    assert not data.present("dic-hela")
    with pytest.raises(data.MissingData, match="02_GT/SEG"):
        data.load("dic-hela")
    assert "frame 001" in {row.file: row for row in files.verify_folder("dic-hela", root)}["02_GT/SEG"].found


# folders of one's own


@pytest.fixture
def own(tmp_path):
    for index in range(6):
        cells = np.zeros((20, 24), dtype=np.uint16)
        cells[2:9, 3:9], cells[10:15, 12 + index : 18] = 1, 300
        save(tmp_path / f"images/shot{index}.png", [RNG.integers(0, 256, size=(20, 24), dtype=np.uint8)])
        save(tmp_path / f"labels/shot{index}.tif", [cells])
    return tmp_path


def test_a_folder_of_images_and_labels_becomes_a_data_set(own):
    loaded = data.load_folder(own, folds=3)
    assert loaded.images.shape == loaded.instances.shape == loaded.ignore.shape == (6, 20, 24)
    assert (loaded.images.dtype, loaded.instances.dtype, loaded.ignore.dtype) == (np.uint8, np.int32, bool)
    assert ids(loaded.instances) == [1, 300]
    assert loaded.names[0] == "shot0" and loaded.folds == ((0, 1), (2, 3), (4, 5))


GREY = np.zeros((20, 24), dtype=np.uint8)


@pytest.mark.parametrize(
    ("file", "array", "told"),
    [
        ("images/extra.png", GREY, "labels has no file named extra"),
        ("labels/extra.png", GREY, "images has no file named extra"),
        ("labels/shot1.png", GREY, "two endings"),
        ("images/shot1.png", GREY[:-1], "shot1.png is .19, 24. px"),
        ("labels/shot1.tif", GREY[:-1], "shot1.tif is .19, 24. px"),
        ("images/shot1.png", np.zeros((20, 24, 3), np.uint8), "colour image"),
        ("images/shot1.png", np.zeros((20, 24), np.uint16), "convert it to 8-bit grey"),
        ("labels/shot1.tif", np.ones((20, 24), np.float32), "whole numbers"),
        ("labels/shot1.tif", GREY, "has no cell"),
    ],
)
def test_a_folder_with_something_wrong_names_the_file(own, file, array, told):
    save(own / file, [array])
    with pytest.raises(ValueError, match=told):
        data.load_folder(own)


def test_images_that_are_stacks_have_a_colour_table_or_are_damaged_are_refused(own):
    save(own / "labels/shot1.tif", [GREY + 1, GREY + 1])
    with pytest.raises(ValueError, match="stack of 2 pages"):
        data.load_folder(own)
    Image.fromarray(GREY).convert("P").save(own / "images/shot0.png")
    with pytest.raises(ValueError, match="colour table"):
        data.load_folder(own)
    (own / "images/shot0.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"shot0\.png cannot be read"):
        data.load_folder(own)


def test_a_mask_in_place_of_numbered_cells_is_refused(own):
    for path in (own / "labels").iterdir():
        save(path, [(np.asarray(Image.open(path)) > 0).astype(np.uint8) * 255])
    with pytest.raises(ValueError, match="one number for all cells"):
        data.load_folder(own)


def test_empty_folders_and_impossible_folds_are_refused(own, tmp_path):
    with pytest.raises(FileNotFoundError, match="images must hold"):
        data.load_folder(tmp_path / "nowhere")
    for folds in (1, 7):
        with pytest.raises(ValueError, match="folds must be 2 to 6"):
            data.load_folder(own, folds=folds)


@pytest.mark.parametrize(("count", "folds"), [(30, 5), (10, 5), (6, 4), (7, 7)])
def test_blocks_are_contiguous_and_cover_every_image_once(count, folds):
    parts = data.blocks(count, folds)
    assert [index for part in parts for index in part] == list(range(count))
    assert len(parts) == folds and max(map(len, parts)) - min(map(len, parts)) <= 1


# the real data

loaded = cache(data.load)

UNMASKED = {  # markers whose cell has no gold mask, as listed when the data were first looked through
    "phc-u373": {"02/t026": [7], "02/t051": [11], "02/t085": [18], "02/t106": [2, 9]},
    "dic-hela": {
        "01/t034": [54],
        "01/t039": [54],
        "01/t067": [4, 5, 8, 10, 12, 14, 16, 18, 21, 28, 30, 35, 36, 39, 56],
        "02/t007": [32],
        "02/t014": [32],
        "02/t042": [35, 45],
        "02/t061": [26],
        "02/t067": [26],
    },
}


def frame(name, image, kind, stem):
    """One annotation of a real frame, read straight from its file; None where there is none."""
    video, number = image.split("/t")
    path = files.find(name) / f"{video}_{kind}" / f"{stem}{number}.tif"
    return np.asarray(Image.open(path)).astype(np.int64) if path.exists() else None


@pytest.mark.realdata("isbi2012")
def test_isbi2012_has_30_slices_in_five_blocks_of_six_and_78_percent_inside():
    em = loaded("isbi2012")
    assert em.images.shape == (30, 512, 512) and em.names[29] == "slice 29"
    assert em.folds == tuple(tuple(range(start, start + 6)) for start in range(0, 30, 6))
    assert (em.instances > 0).mean() == pytest.approx(0.780, abs=0.0005)
    dark, light = em.images[em.instances == 0].mean(), em.images[em.instances > 0].mean()
    assert light - dark > 30  # images and labels belong together


@pytest.mark.realdata("isbi2012")
def test_the_test_slices_labels_are_29_percent_membrane_below_row_66():
    path = files.find("isbi2012")
    if not any((path / name).exists() for name in sources.TEST_LABELS):
        pytest.skip("the labels of the test slices are not in this copy")
    labels = data.test_labels()
    assert labels.shape == (30, 446, 512) and labels.dtype == np.uint8
    assert np.unique(labels).tolist() == [0, 255]
    assert (labels == 0).mean() == pytest.approx(0.29, abs=0.005)
    images = data.frames("isbi2012", "test-volume.tif")[:, 66:]
    light, dark = images[labels == 255].mean(), images[labels == 0].mean()
    assert light - dark > 30  # images and labels belong together


@pytest.mark.realdata("isbi2012")
def test_a_whole_file_of_other_test_labels_is_refused(tmp_path):
    folder = tmp_path / "isbi2012"
    folder.mkdir()
    for name in ("train-volume.tif", "train-labels.tif"):
        (folder / name).symlink_to(files.find("isbi2012") / name)
    with pytest.raises(data.MissingData, match=r"lacks test-labels\.tif"):
        data.test_labels(tmp_path)
    save(folder / "test-labels.tif", np.where(loaded("isbi2012").instances > 0, 255, 0).astype(np.uint8))
    with pytest.raises(
        ValueError, match=r"test-labels\.tif does not hold the published pixels: .* expected 74efe8ca8efd"
    ):
        data.test_labels(tmp_path)


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("video", [1, 2])
@pytest.mark.parametrize(("name", "count"), [("phc-u373", 115), ("dic-hela", 84)])
def test_silver_truth_labels_every_frame_of_a_video_much_as_the_gold_masks_do(name, count, video):
    if not (files.find(name) / f"{video:02d}_ST/SEG").exists():
        pytest.skip("the silver truth is not in this copy")
    silver, gold = data.silver_truth(name, video), loaded(name)
    assert silver.shape == (count, *gold.images.shape[1:]) and silver.dtype == np.int32
    assert len(data.frames(name, f"{video:02d}")) == count and silver.any(axis=(1, 2)).all()
    both = either = 0
    for index in gold.folds[video - 1]:
        counted = ~gold.ignore[index]
        true, found = gold.instances[index] > 0, silver[int(gold.names[index][-3:])] > 0
        both, either = both + (true & found)[counted].sum(), either + (true | found)[counted].sum()
    assert both / either > 0.8


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize(("name", "split", "cells"), [("phc-u373", (15, 19), 210), ("dic-hela", (9, 9), 195)])
def test_cell_sets_hold_their_gold_frames_and_cells(name, split, cells):
    video = loaded(name)
    assert tuple(map(len, video.folds)) == split
    assert sum(len(ids(instances)) for instances in video.instances) == cells
    assert all(video.names[index].startswith("01/") for index in video.folds[0])


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("name", UNMASKED)
def test_exactly_the_listed_markers_have_no_gold_mask(name):
    found = {
        image: data.unmasked_markers(instances, frame(name, image, "GT/TRA", "man_track"))
        for image, instances in zip(loaded(name).names, loaded(name).instances, strict=True)
    }
    assert {image: markers for image, markers in found.items() if markers} == UNMASKED[name]
    partly = {image for image, ignored in zip(loaded(name).names, loaded(name).ignore, strict=True) if ignored.any()}
    assert partly == set(UNMASKED[name])


@pytest.mark.realdata("dic-hela")
def test_of_the_frame_with_3_of_18_cells_drawn_only_these_and_a_narrow_ring_count():
    hela = loaded("dic-hela")
    index = hela.names.index("01/t067")
    gold, counted = hela.instances[index] > 0, ~hela.ignore[index]
    assert len(ids(hela.instances[index])) == 3 and counted[gold].all()
    ring = counted & ~gold
    assert 0 < ring.mean() < 0.05 and ndimage.distance_transform_edt(~gold)[ring].max() <= data.RING


@pytest.mark.realdata("isbi2012", "phc-u373", "dic-hela")
def test_near_the_edge_of_a_cell_frame_unlabelled_pixels_teach_nothing_and_in_the_em_stack_all_do():
    for name in ("phc-u373", "dic-hela"):
        video = loaded(name)
        for index in (0, len(video.names) - 1):
            out = data.untrained(video, index)
            height, width = out.shape
            y, x = np.ogrid[:height, :width]
            far = (np.minimum(y, height - 1 - y) >= 50) & (np.minimum(x, width - 1 - x) >= 50)
            assert not out[video.instances[index] > 0].any()
            assert np.array_equal(out[far], video.ignore[index][far])
            assert out[~far & (video.instances[index] == 0)].all()
    assert not data.untrained(loaded("isbi2012"), 7).any()


@pytest.mark.realdata("phc-u373", "dic-hela")
@pytest.mark.parametrize("name", UNMASKED)
def test_silver_masks_of_the_unmasked_cells_are_ignored(name):
    """The silver truth, made by computers, plays no part in `unannotated`, so it can check it."""
    seen = 0
    for index, image in enumerate(loaded(name).names):
        silver = frame(name, image, "ST/SEG", "man_seg")
        if silver is None or image not in UNMASKED[name]:
            continue
        cells = np.isin(silver, UNMASKED[name][image]) & (loaded(name).instances[index] == 0)
        if cells.any():
            seen += 1
            assert loaded(name).ignore[index][cells].mean() > 0.95
    if not seen:
        pytest.skip("the silver truth is not in this copy")
