"""The closed challenges' evaluations: results of any program get the challenge's figures, or one clear sentence."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from reprolib import cli, data, files
from reprolib.data import published
from reprolib.data.sources import TEST_LABELS
from reprolib.evaluation import challenge, ctc, isbi2012


def blurred(labels: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.stack([ndimage.gaussian_filter((page > 0).astype(np.float32), sigma) for page in labels])


@pytest.fixture
def labels(monkeypatch) -> np.ndarray:
    """Three slices of 64 x 64 px in the place of the challenge's; rows 8 on are those with published labels."""
    row, column = np.indices((64, 64))
    pages = [((row + shift) % 17 > 2) & ((column + row // 4) % 13 > 2) for shift in (0, 4, 9)]
    found = np.stack(pages).astype(np.uint8) * 255
    monkeypatch.setattr(challenge, "SLICES", 3)
    monkeypatch.setattr(challenge, "SIDE", 64)
    monkeypatch.setattr(challenge, "TEST_ROWS", (8, 64))
    monkeypatch.setattr(challenge, "TEST_LABELS_SHA256", files.pixel_hash(found[:, 8:]))
    monkeypatch.setattr(data, "test_labels", lambda: found[:, 8:])
    return found


@pytest.fixture
def saved(tmp_path):
    """Writes an array as a TIFF file and gives its path."""

    def save(array, name="mine.tif", **options):
        tifffile.imwrite(tmp_path / name, array, photometric=options.pop("photometric", "minisblack"), **options)
        return tmp_path / name

    return save


def scored(capsys, *words) -> tuple[str, str]:
    """What `reprolib score` prints: (output, error)."""
    capsys.readouterr()
    status = cli.main(["score", *map(str, words)])
    out, error = capsys.readouterr()
    assert status == (2 if error else 0) and error.count("\n") <= 1
    return out, error


def test_the_labels_themselves_are_perfect(labels):
    scores = challenge.score_slices((labels > 0).astype(np.float32), labels)
    found = {metric: result.score for metric, result in scores.results.items()}
    assert found["v_rand"] == pytest.approx(1) and found["v_info"] == pytest.approx(1)
    assert found["warping_error"] == found["rand_error"] == found["pixel_error"] == 0
    assert scores.rows == (0, 64) and "hard mask of two values: the ten thresholds make no" in scores.notes[0]


def test_scores_are_those_of_the_metrics_on_the_rows_that_both_have(labels):
    probability = blurred(labels)
    whole = challenge.score_slices(probability, labels)
    part = challenge.score_slices(probability, labels[:, 8:])
    also = challenge.score_slices(probability[:, 8:], labels)
    assert whole.rows == (0, 64) and part.rows == also.rows == (8, 64) and not whole.notes
    for scores, first in ((whole, 0), (part, 8), (also, 8)):
        expected = isbi2012.evaluate_stack(labels[:, first:], np.ascontiguousarray(probability[:, first:]))
        assert {m: r.rows for m, r in scores.results.items()} == {m: r.rows for m, r in expected.items()}


@pytest.mark.realdata("isbi2012")
def test_blurred_and_shifted_test_labels_score_worse_and_inverted_ones_are_refused():
    truth = data.test_labels()[[0, 14]]
    blur = blurred(truth, 2)
    figures = []
    for probability in ((truth > 0).astype(np.float32), blur, np.roll(blur, 3, axis=2)):
        results = challenge.score_slices(probability, truth).results
        figures.append([results[metric].score for metric in ("rand_error", "pixel_error", "v_rand", "v_info")])
    (rand, pixel, v_rand, v_info) = zip(*figures, strict=True)
    assert 0 == rand[0] < rand[1] < rand[2] and 0 == pixel[0] < pixel[1] < 0.01 < 0.05 < pixel[2]
    assert v_rand[0] > v_rand[1] > v_rand[2] and v_info[0] > v_info[1] > v_info[2]
    with pytest.raises(ValueError, match=r"probability of membrane.*--invert"):
        challenge.score_slices(1 - blur, truth)
    again = challenge.score_slices(1 - blur, truth, invert=True).results
    assert again["pixel_error"].score == pytest.approx(pixel[1], abs=1e-6)


@pytest.mark.realdata("isbi2012")
def test_the_published_test_labels_are_accepted_and_unknown_rows_are_left_out(tmp_path):
    folder = published.set_folder("isbi2012")
    path = next(folder / key for key in TEST_LABELS if (folder / key).exists())
    found, note = challenge.read_labels(path)
    assert np.array_equal(found[:, -446:], data.test_labels()) and found.shape[1] == (446 if "127" in note else 512)
    tifffile.imwrite(tmp_path / "part.tif", found[:, -446:])
    assert challenge.read_labels(tmp_path / "part.tif")[1] == ""


def test_whole_labels_score_the_whole_slices_and_unknown_or_other_ones_do_not(labels, saved, capsys, monkeypatch):
    mine, whole = saved(blurred(labels)), saved(labels, "labels.tif")
    assert "rows 8 to 63, 88 % of the area" in scored(capsys, "isbi2012", mine)[0]
    out = scored(capsys, "isbi2012", mine, "--labels", whole)[0]
    assert "% of the area" not in out and "only rows 8 to 63 of the labels have a published hash" in out
    git = subprocess.run(["git", "hash-object", whole], capture_output=True, text=True, check=True)
    monkeypatch.setattr(challenge, "TEST_LABELS_BLOB", git.stdout.strip())
    assert "bit for bit" in scored(capsys, "isbi2012", mine, "--labels", whole)[0]

    unknown = labels.copy()
    unknown[:, 2, 3:9] = 127
    out = scored(capsys, "isbi2012", mine, "--labels", saved(unknown, "labels.tif"))[0]
    assert "labels.tif does not know all labels above row 8 (value 127)" in out and "88 % of the area" in out
    for row, value, sentence in ((2, 7, "other values than 0 and 255"), (20, 127, "does not hold the challenge's")):
        other = labels.copy()
        other[1, row, 5] = value
        assert sentence in scored(capsys, "isbi2012", mine, "--labels", saved(other, "labels.tif"))[1]


def test_the_command_prints_five_figures_their_thresholds_and_the_rank(labels, saved, tmp_path, capsys):
    mine, kept = saved(blurred(labels)), tmp_path / "out" / "scores.json"
    out, _ = scored(capsys, "isbi2012", mine, "--json", kept)
    lines = out.splitlines()
    head = next(line for line in lines if "warping error" in line)
    assert all(name in head for name in ("Rand error", "pixel error", "V_Rand", "V_Info"))
    expected = isbi2012.evaluate_stack(labels[:, 8:], blurred(labels)[:, 8:].copy())
    best = next(line for line in lines if line.startswith("best")).split()[1:]
    assert [float(word) for word in best] == pytest.approx([r.score for r in expected.values()], abs=5.1e-4)
    at = next(line for line in lines if line.startswith("at threshold")).split()[2:]
    assert at == [f"{result.threshold:.1f}" for result in expected.values()]
    assert sum(line.startswith("threshold 0.") for line in lines) == 10
    assert "rank 1 in Table 1" in out and "oracle" in out and all(entry.group in out for entry in challenge.TABLE_1)
    record = json.loads(kept.read_text())
    assert record["rows"] == [8, 64] and record["placed"] in out and not record["inverted"]
    assert record["scores"]["v_rand"]["score"] == expected["v_rand"].score
    assert len(record["scores"]["rand_error"]["rows"]) == 10


def test_an_inverted_stack_is_refused_unless_told(labels, saved, capsys):
    straight, inverted = saved(blurred(labels), "a.tif"), saved(1 - blurred(labels), "b.tif")
    assert "--invert scores 1 - p" in scored(capsys, "isbi2012", inverted)[1]
    assert "leave out --invert" in scored(capsys, "isbi2012", straight, "--invert")[1]
    out = scored(capsys, "isbi2012", inverted, "--invert")[0].splitlines()
    assert out[0].endswith("b.tif, inverted") and out[1:] == scored(capsys, "isbi2012", straight)[0].splitlines()[1:]


def test_noise_is_not_taken_for_an_inverted_stack_but_noted(labels):
    noise = np.random.default_rng(0).random(labels.shape, dtype=np.float32)
    for probability in (noise, 1 - noise):
        assert "calls every pixel cell" in challenge.score_slices(probability, labels).notes[0]


def test_a_blank_slice_and_an_odd_mask_are_noted(labels):
    probability = np.where(labels > 0, np.float32(0.75), np.float32(0.25))
    probability[1] = 0.75
    assert challenge.score_slices(probability, labels).notes[:2] == (
        "the stack is a hard mask of two values: only thresholds from 0.25 to 0.75 matter",
        "one value fills slice 1 (counted from 0)",
    )


def test_8_bit_16_bit_and_floating_stacks_score_alike(labels, saved):
    probability = blurred(labels)
    eight, sixteen = np.round(probability * 255).astype(np.uint8), np.round(probability * 65535).astype(np.uint16)
    stacks = [
        challenge.read_stack(saved(array, **options))
        for array, options in (
            (eight, {"compression": "deflate"}),
            (eight, {}),
            (sixteen, {"compression": "zstd"}),
            (eight, {"imagej": True}),
            (sixteen, {"compression": "deflate"}),
            (probability, {}),
            (probability.astype(np.float64), {"byteorder": ">"}),
            (probability[:, None], {}),
        )
    ]
    path = saved(probability[:1])
    for page in probability[1:]:
        tifffile.imwrite(path, page, append=True)
    stacks.append(challenge.read_stack(path))
    for stack in stacks:
        assert stack.dtype == np.float32 and stack.shape == labels.shape
        np.testing.assert_allclose(stack, probability, atol=0.51 / 255)
    kinds = [challenge.score_slices(stack, labels).results for stack in (stacks[1], stacks[2])]
    for metric, result in challenge.score_slices(probability, labels).results.items():
        assert [kind[metric].score for kind in kinds] == pytest.approx([result.score] * 2, abs=1e-3)


def test_a_mask_may_use_any_number_for_cell(labels, saved):
    mask = labels > 0
    for array in (mask.astype(np.uint8), mask, mask * np.uint16(255), labels):
        assert np.array_equal(challenge.read_stack(saved(array)), mask.astype(np.float32))


def numbered(labels: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.label(page)[0] for page in labels])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p[:2], "holds (2, 64, 64) px or is cut short; the test slices are (3, 64, 64)"),
        (lambda p: p[:, :, :60], "(3, 64, 60)"),
        (lambda p: np.stack([p] * 3, -1), "colour or channels"),
        (lambda p: np.stack([p] * 2, 1), "holds (6, 64, 64) px"),
        (lambda p: np.full_like(p, 0.5), "the value 0.5 everywhere"),
        (lambda p: np.where(p > 0.9, np.nan, p), "NaN"),
        (lambda p: p - np.float32(0.2), "runs from -0.2 to 0.8"),
        (lambda p: p * 255, "to 255: floating probabilities must be in [0, 1]"),
        (lambda p: numbered(p > 0.5).astype(np.uint8), "holds labels of cells"),
        (lambda p: numbered(p > 0.5).astype(np.uint16), "holds labels of cells"),
        (lambda p: numbered(p > 0.5).astype(np.int32), "holds int32 numbers, perhaps labels"),
        (lambda p: (p * 4095).astype(np.uint16), "16-bit pixels from 0 to 4095"),
    ],
)
def test_what_is_no_stack_of_probabilities_gets_one_sentence(change, sentence, labels, saved, capsys):
    probability = blurred(labels)
    probability = (probability - probability.min()) / np.ptp(probability)
    changed = change(probability)
    path = saved(changed, photometric="rgb" if changed.shape[-1] == 3 else "minisblack")
    assert sentence in scored(capsys, "isbi2012", path)[1]


def test_a_damaged_or_missing_file_gets_one_sentence(labels, saved, tmp_path, capsys):
    content = saved((blurred(labels) * 255).astype(np.uint8)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.tif").write_text("hello")
    for name, told in (("cut.tif", "is cut short"), ("text.tif", "cannot be read as an image")):
        assert f"{name} {told}" in scored(capsys, "isbi2012", tmp_path / name)[1]
    assert "no.tif does not exist" in scored(capsys, "isbi2012", tmp_path / "no.tif")[1]
    assert "is a folder" in scored(capsys, "isbi2012", tmp_path)[1]
    assert "did you mean 'isbi2012'" in scored(capsys, "isbi2021", tmp_path / "cut.tif")[1]


@pytest.mark.parametrize(
    ("error", "rank"),
    [
        (0.0, "rank 1 in Table 1: ahead of u-net (0.000353)."),
        (0.0003529, "rank 1 in Table 1: level with u-net (0.000353)."),
        (0.000354, "rank 2 in Table 1: behind u-net (0.000353), ahead of DIVE-SCI (0.000355)."),
        (0.00043, "rank 4 in Table 1: behind IDSIA (0.000420), level with DIVE (0.000430)."),
        (0.0005, "rank 5 to 10 in Table 1: behind DIVE (0.000430), ahead of IDSIA-SCI (0.000653)."),
        (0.02, "rank 11 or later in Table 1: behind IDSIA-SCI (0.000653)."),
    ],
)
def test_table_1_places_a_warping_error(error, rank):
    assert challenge.placed(error).endswith(rank)


def test_a_warping_error_is_a_share():
    for wrong in (-0.1, 2, float("nan")):
        with pytest.raises(ValueError, match="share of the pixels"):
            challenge.placed(wrong)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A cell set of three gold frames, and a folder of result masks: cells half covered, missed and run together."""
    gold = np.zeros((3, 40, 40), np.int32)
    gold[:, 2:12, 2:12], gold[:, 2:12, 20:30], gold[2, 20:30, 2:12] = 1, 2, 3
    ignore = np.zeros(gold.shape, bool)
    ignore[0, :, 12:18] = True
    names = ("01/t002", "01/t010", "02/t000")
    dataset = data.Dataset("dic-hela", gold.astype(np.uint8), gold, ignore, names, ((0, 1), (2,)), {}, False)
    monkeypatch.setattr(data, "load", lambda name: dataset)
    result = np.zeros(gold.shape, np.uint16)
    result[0, 2:12, 2:16] = 7  # 100 px of gold and 40 more, which are ignored
    result[1, 2:12, 2:10], result[1, 2:12, 20:25] = 1, 2  # Jaccard index 0.8; and only half of the other
    result[2, 2:12, 2:30] = 1  # two cells and the gap
    for name, mask in zip(names, result, strict=True):
        write(tmp_path, name, mask)
    return tmp_path, gold, result, ignore


def write(folder, name: str, mask: np.ndarray, digits: int = 3) -> None:
    video, number = name.split("/t")
    (folder / f"{video}_RES").mkdir(exist_ok=True)
    tifffile.imwrite(folder / f"{video}_RES" / f"mask{int(number):0{digits}d}.tif", mask, photometric="minisblack")


def test_a_folder_of_masks_gets_seg_of_each_video_and_their_mean(toy, capsys):
    folder, gold, result, ignore = toy
    scores = challenge.score_folder("dic-hela", folder)
    assert scores.found.videos["01"].score == pytest.approx((1 + 0 + 0.8 + 0) / 4)
    assert scores.found.videos["02"].score == pytest.approx((2 * 100 / 280) / 3)
    assert scores.found.score == pytest.approx((0.45 + 0.2381) / 2, abs=1e-4)
    assert scores.everywhere.videos["01"].score == pytest.approx((100 / 140 + 0.8) / 4)
    for part, video in ((slice(0, 2), "01"), (slice(2, 3), "02")):
        expected = ctc.seg(gold[part], result[part].astype(int), ignore[part])
        assert scores.found.videos[video].score == expected.score
    assert scores.frames == {"01": 2, "02": 1} and not scores.notes

    kept = folder / "seg.json"
    out = scored(capsys, "dic-hela", folder, "--json", kept)[0]
    assert all(word in out for word in ("0.4500", "0.2381", "0.3440", "0.7756", "public training frames"))
    record = json.loads(kept.read_text())
    assert record["seg"] == scores.found.score and record["videos"]["02"]["cells"] == 3


def test_one_video_is_enough_and_four_digits_are_too(toy, tmp_path_factory):
    _, _, result, _ = toy
    folder = tmp_path_factory.mktemp("four")
    write(folder, "02/t000", result[2], digits=4)
    scores = challenge.score_folder("dic-hela", folder)
    assert list(scores.found.videos) == ["02"] and scores.found.score == pytest.approx((2 * 100 / 280) / 3)


def test_binary_and_empty_masks_are_noted(toy):
    folder, gold, _, _ = toy
    for name, mask in zip(("01/t002", "01/t010"), gold, strict=False):
        write(folder, name, (mask > 0).astype(np.uint8) * 255)
    write(folder, "02/t000", np.zeros((40, 40), np.uint16))
    assert challenge.score_folder("dic-hela", folder).notes == (
        "01_RES has one number for all cells of a frame, so they count as one: number them",
        "02_RES holds no cell in any gold frame",
    )


def test_masks_that_cannot_be_scored_get_one_sentence(toy, capsys):
    folder, _, result, _ = toy
    for mask, sentence in (
        (result[0].astype(np.float32), "holds float32 pixels"),
        (-result[0].astype(np.int16), "holds int16 pixels: a mask holds whole numbers from 0"),
        (result[0, :30], "(1, 30, 40) px, but a mask of this set is one page of 40 x 40 px"),
        (result[:2], "(2, 40, 40) px"),
    ):
        write(folder, "01/t002", mask)
        error = scored(capsys, "dic-hela", folder)[1]
        assert "mask002.tif" in error and sentence in error
    (folder / "01_RES" / "mask002.tif").write_text("no image")
    assert "mask002.tif cannot be read" in scored(capsys, "dic-hela", folder)[1]
    (folder / "01_RES" / "mask002.tif").unlink()
    assert "01_RES lacks mask002.tif" in scored(capsys, "dic-hela", folder)[1]
    assert "give the folder above it" in scored(capsys, "dic-hela", folder / "01_RES")[1]
    assert "01_RES or 02_RES" in scored(capsys, "dic-hela", folder / "none")[1]
    assert "--invert are for isbi2012" in scored(capsys, "dic-hela", folder, "--invert")[1]
    with pytest.raises(ValueError, match="no masks to score of 'isbi2012'"):
        challenge.score_folder("isbi2012", folder)


def test_a_colour_mask_is_refused(toy):
    folder = toy[0]
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "01_RES" / "mask002.tif")
    with pytest.raises(ValueError, match="one page of 40 x 40 px"):
        challenge.score_folder("dic-hela", folder)
