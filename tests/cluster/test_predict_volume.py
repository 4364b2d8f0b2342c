"""A volume, region by region: the bits of each plane by itself, cells in one numbering, and never half a result."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import tifffile
import zarr
from skimage import measure

from reprolib import cli
from reprolib.cluster import predict as cluster
from reprolib.cluster.predict import predict_volume
from reprolib.data.images import read_pages
from reprolib.errors import Failed, InputError
from reprolib.own.large import predict_image
from reprolib.train import network
from tests.cluster import volumes

OWN = {"normalisation": "percentiles", "mean_of_flips": True, "connectivity": 8}  # as networks of one's own have


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return volumes.network(tmp_path_factory.mktemp("runs"))


def predicted(record, source, target, **options):
    """The lines and the result of a prediction here, at the median of a plane's probabilities unless told otherwise."""
    lines = list(predict_volume(record.path, source, target, **({"tile": volumes.TILE, "report": print} | options)))
    return lines, zarr.open_group(target, mode="r")


def by_plane(record, values, folder, **options):
    """The same by `predict_image`, a plane at a time."""
    model, run, out = network(record), record.experiment, []
    for plane in values.reshape(-1, *values.shape[-2:]):
        options = {"tile": volumes.TILE, "flips": run.mean_of_flips, "scale": run.scale} | options
        predict_image(model, plane, folder / "plane.tif", normalisation=run.normalisation, **options)
        out.append(tifffile.imread(folder / "plane.tif"))
    return np.array(out).reshape(values.shape)


@pytest.mark.parametrize("fields", [{}, OWN, OWN | {"scale": 0.5}], ids=["plain", "own", "own, scaled"])
@pytest.mark.parametrize(
    ("shape", "axes", "chunks"),
    [((2, 37, 70), "ZYX", None), ((2, 3, 20, 36), "TZYX", (1, 2, 16, 16)), ((33, 9), "YX", None)],
)
def test_a_volume_has_the_bits_of_its_planes(tmp_path, fields, shape, axes, chunks):
    record, values = volumes.network(tmp_path, **fields), volumes.pixels(*shape)
    source = volumes.write(tmp_path / "in.zarr", values, axes, chunks)
    _, result = predicted(record, source, tmp_path / "out.zarr", cells=False)
    expected = by_plane(record, values, tmp_path)
    assert np.array_equal(result["0"][:], expected) and expected.std() > 1
    assert {path.name for path in tmp_path.iterdir() if "out" in path.name} == {"out.zarr"}


def test_regions_of_several_tiles_and_planes_have_the_same_bits(tmp_path, record, monkeypatch):
    values = volumes.pixels(3, 100, 70)
    source = volumes.write(tmp_path / "in.zarr", values, chunks=(2, 50, 70))
    monkeypatch.setattr(cluster, "MANY", 6)
    lines, result = predicted(record, source, tmp_path / "out.zarr", threshold=0.5)
    assert "in 8 regions" in lines[0]  # the last row's and column's tiles end in what would be a region of its own
    assert result["0"].shards == (2, 48, 48) and result["0"].chunks == (1, 16, 16)
    assert np.array_equal(result["0"][:], by_plane(record, values, tmp_path))


def test_without_a_tile_the_one_is_taken_that_computes_least(tmp_path, record):
    values = volumes.pixels(40, 300)
    _, result = predicted(record, volumes.write(tmp_path / "in.zarr", values, "YX"), tmp_path / "out.zarr", tile=None)
    tile = result.attrs["reprolib"]["tile"]
    areas = {side: -(-40 // (side - 188)) * -(-300 // (side - 188)) * side**2 for side in range(204, 500, 16)}
    assert tile == min(areas, key=areas.get)
    assert np.array_equal(result["0"][:], by_plane(record, values, tmp_path, tile=tile))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("many", [10_000, 4])
def test_cells_are_those_of_the_whole_volume_in_the_order_of_their_first_pixels(
    tmp_path, connectivity, many, monkeypatch
):
    record, values = volumes.network(tmp_path, connectivity=connectivity), volumes.pixels(4, 75, 70)
    source = volumes.write(tmp_path / "in.zarr", values, chunks=(3 if many == 4 else 1, 32, 32))
    monkeypatch.setattr(cluster, "MANY", many)
    probability = by_plane(record, values, tmp_path)
    threshold = float(np.quantile(probability, 0.7)) / 255
    lines, result = predicted(record, source, tmp_path / "out.zarr", threshold=threshold)
    labels = result["labels/cells/0"][:]
    expected = measure.label(probability > 255 * threshold, connectivity={4: 1, 8: 3}[connectivity])
    assert expected.max() > 20 and (expected.max(axis=(1, 2)) > 0).all()
    assert np.array_equal(labels, expected)  # scikit-image numbers in this order too
    assert lines[-1].endswith(f"out.zarr: {labels.max()} cells")

    _, result = predicted(record, source, tmp_path / "large.zarr", threshold=threshold, smallest=20)
    sizes = np.bincount(expected.ravel())
    kept = (sizes >= 20) & (np.arange(len(sizes)) > 0)
    assert np.array_equal(result["labels/cells/0"][:], np.where(kept, np.cumsum(kept), 0)[expected])
    assert 0 < kept.sum() < expected.max()


def test_times_do_not_hang_together_and_planes_do(tmp_path, record):
    values = np.repeat(volumes.pixels(1, 40, 40), 2, axis=0)
    counts = {}
    for axes in ("TYX", "ZYX"):
        source = volumes.write(tmp_path / f"{axes}.zarr", values, axes)
        _, result = predicted(record, source, tmp_path / f"{axes}.out.zarr", threshold=0.5)
        counts[axes] = result["labels/cells/0"][:].max()
    assert counts["TYX"] == 2 * counts["ZYX"] > 0


def test_the_pyramid_halves_each_level_and_says_where_its_pixels_lie(tmp_path, record, monkeypatch):
    monkeypatch.setattr("reprolib.cluster.store.SMALLEST_LEVEL", 16)
    values = volumes.pixels(2, 51, 34)
    source = volumes.write(tmp_path / "in.zarr", values)
    _, result = predicted(record, source, tmp_path / "out.zarr", threshold=0.5)
    levels = [result[str(level)][:] for level in range(3)]
    assert [level.shape for level in levels] == [(2, 51, 34), (2, 26, 17), (2, 13, 9)]
    assert [result[f"labels/cells/{level}"].shape for level in range(3)] == [level.shape for level in levels]
    for fine, coarse in itertools.pairwise(levels):
        even = np.pad(fine, [(0, 0), (0, fine.shape[1] % 2), (0, fine.shape[2] % 2)], mode="edge").astype(float)
        mean = even.reshape(2, coarse.shape[1], 2, coarse.shape[2], 2).mean(axis=(2, 4))
        assert np.abs(coarse - mean).max() <= 0.5
    assert np.array_equal(result["labels/cells/1"][:], result["labels/cells/0"][:, ::2, ::2])
    (scales,) = result.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert all(axis["unit"] == "micrometer" for axis in scales["axes"])
    told = [[one[one["type"]] for one in level["coordinateTransformations"]] for level in scales["datasets"]]
    assert told[0] == [[0.5, 0.5, 0.5], [0, 0, 0]] and told[2] == [[0.5, 2, 2], [0, 0.75, 0.75]]
    pages = read_pages(tmp_path / "out.zarr")
    assert np.array_equal([page.pixels for page in pages], levels[0]) and pages[0].pixel_size == 0.5


def test_the_channels_that_the_network_takes_are_read(tmp_path):
    record, values = volumes.network(tmp_path, channels="3,1"), volumes.pixels(2, 3, 2, 30, 40)
    source = volumes.write(tmp_path / "in.zarr", values, "TCZYX")
    _, result = predicted(record, source, tmp_path / "out.zarr", cells=False)
    assert result["0"].shape == (2, 2, 30, 40)
    predict_image(network(record), np.moveaxis(values[1, [2, 0], 1], 0, -1), tmp_path / "plane.tif", tile=volumes.TILE)
    assert np.array_equal(result["0"][1, 1], tifffile.imread(tmp_path / "plane.tif"))


def test_a_plane_of_one_value_has_no_cell_and_a_volume_of_them_is_refused(tmp_path, record):
    values, said = volumes.pixels(3, 30, 30), []
    values[1] = 7
    source = volumes.write(tmp_path / "in.zarr", values)
    _, result = predicted(record, source, tmp_path / "out.zarr", report=said.append)
    assert not result["0"][1].any() and result["0"][0].any() and result["0"][2].any()
    assert any("1 of 3 planes are of one value" in line for line in said)
    with pytest.raises(InputError, match="is constant"):
        predicted(record, volumes.write(tmp_path / "flat.zarr", values[1:2]), tmp_path / "flat.out.zarr")
    wrong = volumes.pixels(2, 30, 30).astype(np.float32)
    wrong[1, 3, 4] = np.nan
    with pytest.raises(InputError, match=r"plane 1 of time 0 of .* holds NaN"):
        predicted(record, volumes.write(tmp_path / "nan.zarr", wrong), tmp_path / "nan.out.zarr")


def test_what_is_done_is_not_done_again_and_ends_in_the_same_bytes(tmp_path, record, monkeypatch):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 50, 40))
    predicted(record, source, tmp_path / "whole.zarr", threshold=0.5)
    real, calls = cluster.work.predict_region, []

    def fails(job, part, region):
        calls.append(region)
        if len(calls) == 7:
            raise KeyboardInterrupt
        real(job, part, region)

    monkeypatch.setattr(cluster.work, "predict_region", fails)
    with pytest.raises(KeyboardInterrupt):
        predicted(record, source, tmp_path / "out.zarr", threshold=0.5)
    assert not (tmp_path / "out.zarr").exists() and (tmp_path / "out.zarr.part").is_dir()
    with pytest.raises(InputError, match=r"holds what another command began \(threshold 0.5 then and 0.4 now\)"):
        predicted(record, source, tmp_path / "out.zarr", threshold=0.4)
    predicted(record, source, tmp_path / "out.zarr", threshold=0.5)
    assert len(calls) == 7 + 18 - 6 and len(set(calls)) == 18
    assert volumes.files(tmp_path / "out.zarr") == volumes.files(tmp_path / "whole.zarr")
    assert not (tmp_path / "out.zarr.part").exists()

    lines, _ = predicted(record, source, tmp_path / "out.zarr", threshold=0.5)
    assert lines == [f"{tmp_path / 'out.zarr'}: done before"] and len(calls) == 19
    with pytest.raises(InputError, match=r"is there already, made otherwise \(tile 204 then and 220 now"):
        predicted(record, source, tmp_path / "out.zarr", threshold=0.5, tile=220)


def test_a_region_that_fails_is_named_the_others_are_done_and_the_next_start_tries_it_again(tmp_path, record):
    values = volumes.pixels(2, 50, 40)
    source = volumes.write(tmp_path / "in.zarr", values, chunks=(1, 50, 40))
    chunk = source / "0" / "c" / "1" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(b"damaged")
    with pytest.raises(Failed, match=r"1 of 2 looks failed, .*plane 1 by: .*in\.zarr cannot be read at plane 1, "):
        predicted(record, source, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()
    chunk.write_bytes(whole)
    _, result = predicted(record, source, tmp_path / "out.zarr")
    assert np.array_equal(result["0"][:], by_plane(record, values, tmp_path))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memory": 0.0}, "memory must be above 0 GiB"),
        ({"threads": 0}, "threads 1 or more"),
        ({"tile": 200}, "nearest: 188 and 204"),
        ({"threshold": 40.0}, r"threshold is in \[0, 1\]"),
    ],
)
def test_what_is_out_of_range_is_refused_before_anything_is_written(tmp_path, record, options, told):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 30, 30))
    with pytest.raises(InputError, match=told):
        predicted(record, source, tmp_path / "out.zarr", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.zarr"]


def test_results_replace_nothing_and_do_not_lie_in_the_image(tmp_path, record):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 30, 30))
    before = volumes.files(source)
    (tmp_path / "there.zarr").mkdir()
    (tmp_path / "there.zarr" / "notes").write_text("mine")
    for target, told in (
        (source, "lie in each other"),
        (source / "out.zarr", "lie in each other"),
        (tmp_path / "there.zarr", "is there already, and no result"),
        (tmp_path / "out", "must end in .zarr"),
    ):
        with pytest.raises(InputError, match=told):
            predicted(record, source, target)
    assert volumes.files(source) == before and (tmp_path / "there.zarr" / "notes").read_text() == "mine"


def test_the_command_line_takes_a_volume_to_a_volume(tmp_path, record, capsys):
    source = volumes.write(tmp_path / "in.ome.zarr", volumes.pixels(2, 30, 30))
    words = ["predict", str(record.path), str(source), "--tile", "204", "--threshold", "0.5"]
    assert cli.main([*words, "--to", str(tmp_path / "out.ome.zarr")]) == 0
    assert "out.ome.zarr: " in capsys.readouterr().out
    job = zarr.open_group(tmp_path / "out.ome.zarr", mode="r").attrs["reprolib"]
    assert (job["weights"], job["threads"]) == (record.weights.sha256, 1)
    json.dumps(job)
    for wrong in (["--rois"], [str(source)]):
        assert cli.main([*words, *wrong, "--to", str(tmp_path / "other.zarr")]) == 2
        assert "a volume is predicted by itself" in capsys.readouterr().err
