"""Volumes are opened without being read, whatever the order of their axes, and give boxes of their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from reprolib.data.volumes import open_volume
from reprolib.errors import InputError

FULL = np.random.default_rng(3).integers(0, 60000, (2, 3, 4, 50, 60), dtype=np.uint16)  # T, C, Z, Y, X
BOX = slice(1, 3), slice(5, 30), slice(40, 60)


@pytest.mark.parametrize("axes", ["TCZYX", "TZCYX", "CZYX", "ZYXC", "TYX", "YX", "ZYX", "XY"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_box_holds_the_stored_pixels_whatever_the_axes(tmp_path, axes, version):
    order = [index for index, axis in enumerate("TCZYX") if axis in axes]
    kept = FULL[tuple(slice(None) if axis in axes else 0 for axis in "TCZYX")]
    stored = kept.transpose(["".join("TCZYX"[k] for k in order).index(axis) for axis in axes])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    group.create_array("0", data=np.ascontiguousarray(stored), chunks=[min(16, n) for n in stored.shape])
    scales = [{"axes": [{"name": axis.lower()} for axis in axes], "datasets": [{"path": "0"}]}]
    group.attrs.update({"multiscales": scales} if version == 2 else {"ome": {"multiscales": scales}})
    volume = open_volume(tmp_path / "a.zarr")
    time, planes = (1 if "T" in axes else 0), (BOX[0] if "Z" in axes else slice(0, 1))
    expected = FULL[time, 0, planes, BOX[1], BOX[2]]
    assert np.array_equal(volume.read(time, planes, *BOX[1:], (0,)), expected)
    assert (volume.side("Z"), volume.side("X"), volume.chunk("X")) == (4 if "Z" in axes else 1, 60, 16)
    if "C" in axes:
        several = np.moveaxis(FULL[time, [2, 0], planes, BOX[1], BOX[2]], 0, -1)
        assert np.array_equal(volume.read(time, planes, *BOX[1:], (2, 0)), several)
        assert volume.chosen("3,1") == (2, 0)


def test_channels_that_a_volume_has_not_are_refused(tmp_path):
    zarr.save_array(tmp_path / "grey.zarr", FULL[0, 0])
    zarr.save_array(tmp_path / "several.zarr", FULL[0])
    grey, several = open_volume(tmp_path / "grey.zarr"), open_volume(tmp_path / "several.zarr")
    assert grey.chosen("grey") == grey.chosen("1") == (0,)
    for volume, channels, told in (
        (several, "grey", "has 3 channels, and the network takes grey values"),
        (several, "rgb", "takes red, green and blue"),
        (several, "1,4", "has 3 channels, and 1,4 are asked for"),
        (grey, "1,2", "has 1 channel, and 1,2 are asked for"),
    ):
        with pytest.raises(InputError, match=told):
            volume.chosen(channels)


def test_what_is_no_volume_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_volume(tmp_path / "none.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(InputError, match="cannot be read as an image"):
        open_volume(tmp_path / "empty.zarr")
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(InputError, match="without OME-Zarr's multiscales"):
        open_volume(tmp_path / "group.zarr")
    zarr.save_array(tmp_path / "complex.zarr", np.zeros((5, 5), np.complex64))
    with pytest.raises(InputError, match=r"complex64 pixels .* no image"):
        open_volume(tmp_path / "complex.zarr")


def test_a_damaged_piece_is_named_and_the_others_are_read(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=FULL[0, 0], chunks=(1, 32, 32))
    (tmp_path / "a.zarr" / "c" / "2" / "0" / "1").write_bytes(b"no chunk")
    volume = open_volume(tmp_path / "a.zarr")
    assert np.array_equal(volume.read(0, slice(2, 3), slice(0, 20), slice(0, 32), (0,))[0], FULL[0, 0, 2, :20, :32])
    with pytest.raises(InputError, match=r"a\.zarr cannot be read at plane 2, rows from 0, columns from 8 "):
        volume.read(0, slice(2, 3), slice(0, 20), slice(8, 60), (0,))
