"""Images larger than the memory: the same answer as in memory, in bounded memory, and never half a file."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reprolib import progress
from reprolib.errors import InputError
from reprolib.model import UNet
from reprolib.own import large
from reprolib.own.large import (
    grey_levels,
    grey_values,
    open_grey,
    predict_file,
    predict_image,
    predicted_region,
    predicted_tiles,
)
from reprolib.tiling import predict, window


def network(width: int = 3) -> UNet:
    torch.manual_seed(0)
    return UNet(width=width).eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


@pytest.mark.parametrize("start", [-250, -7, 0, 3, 40])
@pytest.mark.parametrize("sides", [(9, 13), (1, 5), (2, 2)])
def test_a_window_reads_the_image_and_its_mirror(sides, start):
    image = picture(*sides)
    padded = np.pad(image, 300, mode="reflect")
    np.testing.assert_array_equal(window(image, start, start + 4, 20), padded[300 + start :, 304 + start :][:20, :20])


@pytest.mark.parametrize("sides", [(37, 30), (70, 90), (4, 50)])
@pytest.mark.parametrize("tile", [204, 252])
def test_tile_by_tile_into_a_file_equals_the_prediction_in_memory(tmp_path, sides, tile):
    model, image = network(), picture(*sides)
    tifffile.imwrite(tmp_path / "in.tif", image)
    assert predict_file(model, tmp_path / "in.tif", tmp_path / "out.tif", tile=tile) == sides
    found = tifffile.imread(tmp_path / "out.tif")
    assert found.dtype == np.uint8 and found.shape == sides and found.std() > 1
    assert np.abs(found / 255 - predict(model, image, tile=tile)[1]).max() <= 0.5 / 255 + 1e-5


@settings(max_examples=25, deadline=None)
@given(
    sides=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    channels=st.sampled_from([(), (3,)]),
    scale=st.floats(0.1, 1),
    flips=st.booleans(),
    normalisation=st.sampled_from(["standard", "percentiles"]),
    rows=st.integers(1, 300),
)
def test_at_any_scale_a_file_equals_the_prediction_in_memory(sides, channels, scale, flips, normalisation, rows):
    torch.manual_seed(0)
    model = UNet(in_channels=3 if channels else 1, width=2).eval()
    image = np.random.default_rng(0).integers(0, 65536, (*sides, *channels)).astype(np.uint16)
    options = {"tile": 204, "flips": flips, "scale": scale, "normalisation": normalisation}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "ROWS", rows)
        target = Path(folder) / "out.tif"
        predict_image(model, image, target, **options)
        found = tifffile.imread(target)
        assert [path.name for path in Path(folder).iterdir()] == ["out.tif"]
    expected = predict(model, image, **options)[1]
    assert found.shape == sides and np.abs(found / 255 - expected).max() <= 0.5 / 255 + 1e-4


@pytest.mark.parametrize("sides", [(37, 30), (70, 90)])
def test_the_mean_over_mirror_images_is_the_same_tile_by_tile(tmp_path, sides):
    model, image = network(), picture(*sides)
    predict_image(model, image, tmp_path / "out.tif", tile=204, flips=True)
    expected = predict(model, image, tile=204, flips=True)[1]
    assert np.abs(tifffile.imread(tmp_path / "out.tif") / 255 - expected).max() <= 0.5 / 255 + 1e-5
    assert expected.std() > 0.01 and [path.name for path in tmp_path.iterdir()] == ["out.tif"]


def test_each_pixel_comes_once():
    image, count = picture(70, 90), np.zeros((70, 90), int)
    for place, probability in predicted_tiles(network(), image, 204, grey_levels(image)):
        count[place] += 1
        assert probability.shape == count[place].shape
    assert (count == 1).all()


@pytest.mark.parametrize("normalisation", ["standard", "percentiles"])
@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("sides", [(70, 90), (53, 33), (9, 100)])
def test_a_region_has_the_bits_of_the_whole_image(tmp_path, sides, flips, normalisation):
    model, image = network(), picture(*sides)
    predict_image(model, image, tmp_path / "out.tif", tile=204, flips=flips, normalisation=normalisation)
    whole, levels = tifffile.imread(tmp_path / "out.tif"), grey_levels(image, normalisation)
    exact = predicted_region(model, image, tuple(slice(0, side) for side in sides), 204, levels, flips=flips)
    np.testing.assert_array_equal(np.round(255 * exact), whole)
    for rows, columns in ((slice(0, 32), slice(16, 32)), (slice(3, 8), slice(29, 30)), (slice(48, 70), slice(32, 90))):
        rows, columns = (slice(p.start, min(p.stop, n)) for p, n in zip((rows, columns), sides, strict=True))
        if rows.start < rows.stop and columns.start < columns.stop:
            part = predicted_region(model, image, (rows, columns), 204, levels, flips=flips)
            np.testing.assert_array_equal(part, exact[rows, columns])


def test_in_bfloat16_a_file_equals_the_prediction_in_memory(tmp_path):
    model, image = network(), picture(70, 90)
    tifffile.imwrite(tmp_path / "in.tif", image)
    predict_file(model, tmp_path / "in.tif", tmp_path / "out.tif", tile=204, reduced=True)
    expected = predict(model, image, tile=204, reduced=True)[1]
    assert np.abs(tifffile.imread(tmp_path / "out.tif") / 255 - expected).max() <= 0.5 / 255 + 0.01


@pytest.mark.parametrize("ending", ["tif", "tiff"])
def test_all_endings_and_compressions_hold_the_same_pixels(tmp_path, ending):
    image = picture(30, 41)
    for name, options in (("raw.tif", {}), ("lzw.tif", {"compression": "tiff_lzw"}), ("plain.png", {})):
        Image.fromarray(image).save(tmp_path / name, **options)
        np.testing.assert_array_equal(open_grey(tmp_path / name), image)
        predict_file(network(), tmp_path / name, tmp_path / f"{name}.out.{ending}", tile=204)
    results = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("*.out.*"))]
    assert len(results) == 3 and all(np.array_equal(results[0], other) for other in results)


def test_an_uncompressed_tiff_is_mapped_not_read(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", picture(30, 41))
    assert isinstance(open_grey(tmp_path / "in.tif"), np.memmap)


def test_mean_and_deviation_are_those_of_the_whole_image():
    image = picture(700, 33).astype(np.float32) * 1000 + 1e6
    mean, spread = grey_values(image, block=32)
    assert mean == pytest.approx(image.mean(dtype=np.float64), rel=1e-12)
    assert spread == pytest.approx(image.std(dtype=np.float64), rel=1e-12)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((30, 30), 7, np.uint8), "constant"),
        (np.full((30, 30), np.nan, np.float32), "NaN"),
        (picture(30, 120).reshape(30, 30, 4), "has 4 channels"),
        (np.zeros((2, 30, 30), np.uint8), "must be one image, and holds 2 pages"),
    ],
)
def test_what_cannot_be_segmented_is_refused_and_leaves_nothing(tmp_path, image, message):
    layout = {"planarconfig": "contig"} if image.shape[-1] == 4 else {}
    tifffile.imwrite(tmp_path / "in.tif", image, photometric="minisblack", **layout)
    with pytest.raises(InputError, match=message):
        predict_file(network(), tmp_path / "in.tif", tmp_path / "out.tif", tile=204)
    assert [path.name for path in tmp_path.iterdir()] == ["in.tif"]


def test_a_file_that_is_no_image_and_a_target_that_loses_pixels_are_refused(tmp_path):
    for name in ("text.tif", "text.png"):
        (tmp_path / name).write_text("no image")
        with pytest.raises(InputError, match=f"{name} cannot be read as an image"):
            predict_file(network(), tmp_path / name, tmp_path / "out.tif")
    tifffile.imwrite(tmp_path / "in.tif", picture(9, 9))
    with pytest.raises(InputError, match=r"must end in .*\.tif"):
        predict_file(network(), tmp_path / "in.tif", tmp_path / "out.jpg")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("kind", ["white is zero", "turned", "colour", "palette", "16 bits, compressed"])
def test_prediction_sees_the_pixels_that_training_sees(tmp_path, kind):
    image, options = picture(30, 41), {"photometric": "minisblack"}
    stored = {
        "white is zero": (255 - image, {"photometric": "miniswhite"}),
        "turned": (np.rot90(image), {"extratags": [(0x0112, 3, 1, 6, True)]}),
        "colour": (np.repeat(image[..., None], 3, -1), {"photometric": "rgb"}),
        "palette": (255 - image, {"photometric": "palette", "colormap": np.stack([np.arange(255, -1, -1)] * 3) * 257}),
        "16 bits, compressed": (image.astype(np.uint16) * 257, {"compression": "zlib"}),
    }
    array, more = stored[kind]
    if "colormap" in more:
        more["colormap"] = more["colormap"].astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", array, **(options | more))
    tifffile.imwrite(tmp_path / "plain.tif", image)
    for name in ("in", "plain"):
        predict_file(network(), tmp_path / f"{name}.tif", tmp_path / f"{name}.out.tif", tile=204)
    found, expected = (tifffile.imread(tmp_path / f"{name}.out.tif").astype(int) for name in ("in", "plain"))
    assert np.abs(found - expected).max() <= 1 and expected.std() > 1


def test_a_failure_midway_leaves_no_file_and_the_older_result(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", picture(60, 60))
    (tmp_path / "out.tif").write_bytes(b"older")
    model, calls = network(), []

    def fail(module, inputs):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of luck")

    model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        predict_file(model, tmp_path / "in.tif", tmp_path / "out.tif", tile=204)
    assert (tmp_path / "out.tif").read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 2


def test_progress_says_how_many_tiles_and_how_long(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    lines, image = [], picture(40, 40)
    list(predicted_tiles(network(), image, 204, grey_levels(image), lines.append))
    assert len(lines) == 9 and lines[0].startswith("tile 1/9, ")
    assert re.fullmatch(r"tile 9/9, .*, 00:00 left", lines[-1])


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_memory_does_not_grow_with_the_image(tmp_path, scale):
    """A mapped 6000 x 6000 image: in memory its grey values alone would take 144 MB in float32, the result as much."""
    tifffile.memmap(tmp_path / "in.tif", shape=(6000, 6000), dtype=np.uint8)[::7, ::5] = 200
    program = """
import sys, torch
from pathlib import Path
from reprolib.own import large
from reprolib.model import UNet
class Flat(torch.nn.Module):
    def forward(self, x):
        return torch.stack([x, x], 1)[:, :, 0, 92:-92, 92:-92]
from reprolib.runs import machine
before = machine.peak_memory(torch.device("cpu"))
large.predict_file(Flat(), Path(sys.argv[1]), Path(sys.argv[2]), tile=572, scale=float(sys.argv[3]))
print((machine.peak_memory(torch.device("cpu")) - before) / 2**20)
"""
    words = [sys.executable, "-c", program, str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), str(scale)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    mapped = 36 * 2 + 36 * 8 * scale**2 * (scale < 1)  # files' pages may count as resident while they are mapped
    assert float(done.stdout) < mapped + 60
    assert tifffile.imread(tmp_path / "out.tif").shape == (6000, 6000)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
@pytest.mark.parametrize("room", [0, 5000], ids=["no room for the result", "no room for the sum over mirror images"])
def test_a_full_disk_is_an_error_before_any_tile_is_computed(tmp_path, monkeypatch, room):
    def allocate(descriptor, start, size):
        if size > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *_: pytest.fail("a tile was computed"))
    with pytest.raises(OSError, match="No space left on device"):
        predict_image(network(), picture(40, 50), tmp_path / "out.tif", tile=204, flips=True)
    assert not list(tmp_path.iterdir())
