"""The closed challenges' evaluations, for results of any program: ISBI 2012 (Table 1) and SEG of the cells (Table 2).

`score_slices` gives the five figures of ISBI 2012 for the challenge's 30 test slices, `score_folder` gives SEG for a
folder of masks in the Cell Tracking Challenge's layout. `report` reads the files and words what is printed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from reprolib import data
from reprolib.data import images
from reprolib.data.sources import REAL, TEST_LABELS_BLOB, TEST_LABELS_SHA256, TEST_ROWS
from reprolib.errors import InputError, nearest
from reprolib.evaluation import ctc, isbi2012
from reprolib.evaluation.isbi2012 import Result
from reprolib.evaluation.metric import ERRORS, ISBI2012
from reprolib.evaluation.paper import PAPER_SEG, TABLE_1, Entry
from reprolib.evaluation.score import curves
from reprolib.evaluation.scores import converter
from reprolib.files import check_room, check_target, pixel_hash, write_text
from reprolib.printing import text_table

SLICES, SIDE = 30, 512  # number of the test slices, and their side in px
INVERTED = 0.02  # a stack is refused where its pixel error is lower by more than this once inverted
ROUNDING = 1e-5  # a floating probability may leave [0, 1] by so much


@dataclass(frozen=True, eq=False)
class SliceScores:
    """ISBI 2012's figures: results by metric; rows scored (first, last + 1) of each slice; notes, one sentence each."""

    results: dict[str, Result]
    rows: tuple[int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FolderScores:
    """SEG of a folder of masks: found, without the regions where cells bear no gold mask; everywhere, with them, as the
    challenge's own program computes it; frames, the number of gold frames of each video; notes, one sentence each.
    """

    found: ctc.Videos
    everywhere: ctc.Videos
    frames: dict[str, int]
    notes: tuple[str, ...]


def read_stack(path: str | Path) -> np.ndarray:
    """The probability of *not* membrane in the test slices: (30, 512, 512), or (30, 446, 512) for rows 66 on, float32.

    Args:
        path: TIFF stack of 8-bit (255 = certainly cell), 16-bit (65535) or floating pixels in [0, 1], or a mask of
            two whole numbers, 0 = membrane.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: a damaged file, another number or size of slices, colour, labels of cells, one value, or bad values.
    """
    array = _read(Path(path))
    _check_shape(path, array)
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds NaN or infinite values: every value must be in [0, 1]")
    low, high = array.min(), array.max()
    if low == high:
        raise InputError(f"{path} holds the value {low:g} everywhere: there is nothing to score")
    if array.dtype.kind == "f":
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise InputError(f"{path} runs from {low:.4g} to {high:.4g}: floating probabilities must be in [0, 1]")
        return np.clip(array.astype(np.float32), 0, 1)
    wanted = "save the probability of not membrane as 8-bit, 16-bit or floating pixels"
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} holds {array.dtype} numbers, perhaps labels of cells: {wanted}")
    if low == 0 and ((array == 0) | (array == high)).all():  # a mask, whatever number stands for cell
        return (array > 0).astype(np.float32)
    if _looks_like_labels(array):
        raise InputError(f"{path} holds labels of cells: {wanted}, or a mask (0 and 255)")
    full = np.iinfo(array.dtype).max
    if array.dtype == np.uint16 and high < 0.1 * full:
        raise InputError(
            f"{path} holds 16-bit pixels from {low} to {high}: scale them to 0..{full}, or save 8-bit ones"
        )
    return array.astype(np.float32) / np.float32(full)


def read_labels(path: str | Path) -> tuple[np.ndarray, str]:
    """Labels of the test slices from a file: the archive's own ``test-labels.tif``, or its rows 66 to 511.

    Returns:
        (30, 512, 512) uint8, 255 = cell; or (30, 446, 512) where the rows above are not in the file or not fully
        known there (value 127). And a sentence about the rows above, or "".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: a damaged file, another size, or other labels than the published ones in rows 66 to 511.
    """
    path, (first, end) = Path(path), TEST_ROWS
    array = _read(path)
    _check_shape(path, array)
    upper, lower = array[:, : -(end - first)], array[:, -(end - first) :]
    if (found := pixel_hash(lower)) != TEST_LABELS_SHA256:
        what = f"the SHA-256 of rows {first} to {end - 1} is {found[:12]}, expected {TEST_LABELS_SHA256[:12]}"
        raise InputError(f"{path} does not hold the challenge's test labels (uint8, 255 = cell): {what}")
    if not upper.size:
        return array, ""
    if (upper == 127).any():
        return lower, f"{path.name} does not know all labels above row {first} (value 127): these rows are left out"
    if not np.isin(upper, (0, 255)).all():
        raise InputError(f"{path} holds other values than 0 and 255 above row {first}: give the archive's own file")
    content = path.read_bytes()
    if hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == TEST_LABELS_BLOB:
        return array, "the labels are the file of the challenge's archive, bit for bit"
    return array, f"only rows {first} to {end - 1} of the labels have a published hash: those above are not verified"


def score_slices(probability: np.ndarray, labels: np.ndarray, invert: bool = False) -> SliceScores:
    """The five figures of ISBI 2012 (Sec. 4, Table 1), each at its best of ten thresholds on the scored slices.

    Args:
        probability: (N, H, W) float32 in [0, 1], of *not* membrane.
        labels: (N, H, W) uint8 or bool, 0 = membrane. Where one of the two has 446 rows, rows 66 to 511 are scored.
        invert: score 1 - probability.

    Raises:
        ValueError: as `metrics.evaluate_stack`, and where the stack fits the labels clearly better once inverted.
    """
    short, rows, sides = TEST_ROWS[1] - TEST_ROWS[0], (0, labels.shape[1]), {probability.shape[1], labels.shape[1]}
    if short in sides and sides <= {short, SIDE}:
        probability, labels, rows = probability[:, -short:], labels[:, -short:], TEST_ROWS
    probability = np.ascontiguousarray(1 - probability if invert else probability)
    error, cells = isbi2012.pixel_error(labels, probability).score, labels > 0
    if 0 < (share := cells.mean()) < 1 and probability[cells].mean() < probability[~cells].mean():
        other = isbi2012.pixel_error(labels, 1 - probability).score
        if other < error - INVERTED:
            raise InputError(
                f"the stack seems to hold the probability of membrane: its pixel error is {error:.3f}, and {other:.3f} "
                f"once inverted; {'leave out --invert' if invert else '--invert scores 1 - p'}"
            )
    notes, low, high = [], probability.min(), probability.max()
    if ((probability == low) | (probability == high)).all():
        same = low == 0 and high > isbi2012.THRESHOLDS[-1]
        what = "the ten thresholds make no difference" if same else f"only thresholds from {low:g} to {high:g} matter"
        notes.append(f"the stack is a hard mask of two values: {what}")
    if empty := [str(index) for index, page in enumerate(probability) if page.min() == page.max()]:
        notes.append(f"one value fills slice {', '.join(empty)} (counted from 0)")
    if error > (blank := (1 - share) / (1 + share)) - 0.005:
        notes.append(
            f"a stack that calls every pixel cell has the pixel error {blank:.3f}, hardly more than this one: "
            "check that these are the test slices, upright and in their order"
        )
    return SliceScores(isbi2012.evaluate_stack(labels, probability), rows, tuple(notes))


def placed(warping_error: float) -> str:
    """Where Table 1 ranks a warping error, a share in [0, 1], in one sentence; ranks 5 to 9 are not in the paper."""
    if not 0 <= warping_error <= 1:
        raise InputError(f"a warping error is a share of the pixels, in [0, 1], not {warping_error}")
    error, ranked = round(warping_error, 6), [entry for entry in TABLE_1 if entry.rank]
    better = [entry for entry in ranked if entry.warping_error < error]
    others, first = ranked[len(better) :], better[-1].rank + 1 if better else 1
    words = [f"behind {entry.group} ({entry.warping_error:.6f})" for entry in better[-1:]]
    for entry in others[:1]:
        words.append(f"{'level with' if entry.warping_error == error else 'ahead of'} {entry.group} ({entry[2]:.6f})")
    last = f" to {others[0].rank}" if others else " or later"
    rank = f"{first}{'' if last == f' to {first}' else last}"
    return f"By its warping error of {error:.6f} it would have had rank {rank} in Table 1: {', '.join(words)}."


def score_folder(name: str, folder: str | Path) -> FolderScores:
    """SEG of a folder of masks (Sec. 4, Table 2) over the gold frames of each video that it holds.

    Args:
        name: "dic-hela" or "phc-u373".
        folder: 01_RES, 02_RES or both lie in it, with mask000.tif or mask0000.tif ...: 0 = background, 1.. = cells.

    Raises:
        FileNotFoundError: if there is no such folder, a gold frame has no mask, or the data set is not here.
        ValueError: an unknown set, a damaged mask, another size, or pixels that are no labels.
    """
    folder = Path(folder)
    if name not in PAPER_SEG:
        raise InputError(f"there are no masks to score of {name!r}: {nearest(name, PAPER_SEG)}")
    videos = [video for video in ("01", "02") if (folder / f"{video}_RES").is_dir()]
    if not videos:
        hint = "; give the folder above it" if re.fullmatch(r"0[12]_RES", folder.name) else ""
        raise FileNotFoundError(f"{folder} must hold a folder 01_RES or 02_RES of masks, and holds neither{hint}")
    dataset = data.load(name)
    chosen = [index for index, image in enumerate(dataset.names) if image[:2] in videos]
    names, gold, ignore = [dataset.names[i] for i in chosen], dataset.instances[chosen], dataset.ignore[chosen]
    result, notes = np.stack([_mask(folder, image, gold.shape[1:]) for image in names]), []
    for video in videos:
        masks = [mask for image, mask in zip(names, result, strict=True) if image[:2] == video]
        if not any(mask.any() for mask in masks):
            notes.append(f"{video}_RES holds no cell in any gold frame")
        if all(len(np.unique(mask[mask > 0])) < 2 for mask in masks) and any(ndimage.label(m)[1] > 1 for m in masks):
            notes.append(f"{video}_RES has one number for all cells of a frame, so they count as one: number them")
    found, everywhere = ctc.by_video(names, gold, result, ignore), ctc.by_video(names, gold, result)
    frames = {video: sum(image[:2] == video for image in names) for video in videos}
    return FolderScores(found, everywhere, frames, tuple(notes))


def report(
    name: str, given: Path, labels: Path | None = None, invert: bool = False, kept: Path | None = None
) -> list[str]:
    """The evaluation of a stack of "isbi2012", or of a folder of a cell set, as lines of text.

    Args:
        labels: as `read_labels`; default: those of the data folder, rows 66 to 511.
        invert: as `score_slices`.
        kept: a JSON file to write the scores to, at every threshold.

    Raises:
        InputError, FileNotFoundError: as the functions above.
    """
    if name not in REAL:
        raise InputError(f"there is no challenge {name!r}: {nearest(name, REAL)}")
    if kept:
        check_target(kept)
        check_room(kept.parent)
    if name == "isbi2012":
        probability = read_stack(given)
        truth, note = read_labels(labels) if labels else (data.test_labels(), "")
        lines, body = _slices_report(score_slices(probability, truth, invert), note)
    elif labels or invert:
        raise InputError(f"--labels and --invert are for isbi2012; {name} takes a folder of masks alone")
    else:
        lines, body = _folder_report(name, score_folder(name, given))
    lines = [f"{given}{', inverted' if invert else ''}", "", *lines, "", *(f"Note: {note}." for note in body["notes"])]
    if kept:
        body = {"challenge": name, "given": str(given), "inverted": invert} | body
        write_text(kept, json.dumps(body, indent=1) + "\n")
        lines.append(f"{kept}: written")
    return lines


def _slices_report(scores: SliceScores, note: str) -> tuple[list[str], dict]:
    (first, end), results = scores.rows, scores.results
    notes = [note] if note else []
    if end - first < SIDE:
        part = f"rows {first} to {end - 1}, {100 * (end - first) / SIDE:.0f} % of the area"
        notes.append(f"these are {part}; Table 1 is of the whole slices")
    notes.append("each threshold is the best of ten on the scored slices, as the challenge took it: an oracle chose it")
    names = [metric.name for metric in ISBI2012]
    best = [results[metric.key] for metric in ISBI2012]
    table = [
        ["", *names],
        ["best", *(metric.print(result.score) for metric, result in zip(ISBI2012, best, strict=True))],
        ["at threshold", *(f"{result.threshold:.1f}" for result in best)],
        [""] * 6,
    ]
    for number, threshold in enumerate(isbi2012.THRESHOLDS):
        at = (metric.print(metric.figure(results[metric.key].rows[number])) for metric in ISBI2012)
        table.append([f"threshold {threshold:.1f}", *at])
    sentence, ranked = placed(results["warping_error"].score), [["group", "rank", *names[:3]]]
    own = Entry("this stack", None, *(results[metric.key].score for metric in ERRORS))
    for group, rank, *errors in sorted([own, *TABLE_1], key=lambda entry: entry.warping_error):
        shown = (f"{error:.{metric.digits_of_paper}f}" for metric, error in zip(ERRORS, errors, strict=True))
        ranked.append([group, str(rank or "-"), *shown])
    lines = [*text_table(table), "", sentence, "", *text_table(ranked)]
    body = {"rows": [first, end], "scores": converter.unstructure(curves(results))}
    return lines, body | {"placed": sentence, "notes": [*notes, *scores.notes]}


def _folder_report(name: str, scores: FolderScores) -> tuple[list[str], dict]:
    notes = [
        "these frames are the challenge's public training frames, the paper's were hidden ones: "
        "a video is judged fairly only if nothing was trained on it",
        "regions where cells bear no gold mask are left out; the challenge's own program keeps them (last column)",
    ]
    table, videos = [["video", "gold frames", "gold cells", "SEG", "nothing left out"]], {}
    for video, one in scores.found.videos.items():
        frames, cells, other = scores.frames[video], len(one.cells), scores.everywhere.videos[video].score
        table.append([video, f"{frames}", f"{cells}", f"{one.score:.4f}", f"{other:.4f}"])
        videos[video] = {"frames": frames, "cells": cells, "seg": one.score, "seg_nothing_left_out": other}
    cells, both = len(scores.found.pooled.cells), (scores.found.score, scores.everywhere.score)
    table.append(["mean", f"{sum(scores.frames.values())}", f"{cells}", *(f"{score:.4f}" for score in both)])
    lines = [*text_table(table), "", f"The paper's u-net, on hidden videos: {PAPER_SEG[name]}"]
    kept = {"videos": videos, "seg": both[0], "seg_nothing_left_out": both[1], "paper": PAPER_SEG[name]}
    return lines, kept | {"notes": [*notes, *scores.notes]}


def _read(path: Path) -> np.ndarray:
    """(pages, H, W) numbers of an image file, with more axes if it has channels; a mask of bits as 0 and 1."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: give a TIFF file")
    array = images.read_stack(path)
    return array.view(np.uint8) if array.dtype == bool else array


def _check_shape(path: str | Path, array: np.ndarray) -> None:
    """ValueError unless an array has the shape of the test slices, or of their rows 66 to 511."""
    rows = TEST_ROWS[1] - TEST_ROWS[0]
    if array.ndim > 3:
        raise InputError(f"{path} has colour or channels, {array.shape}: save one grey channel")
    if array.shape not in ((SLICES, SIDE, SIDE), (SLICES, rows, SIDE)):
        cut = " or is cut short" if len(array) < SLICES else ""
        expected = f"{(SLICES, SIDE, SIDE)}, or {(SLICES, rows, SIDE)} for rows {TEST_ROWS[0]} on"
        raise InputError(f"{path} holds {array.shape} px{cut}; the test slices are {expected}")


def _looks_like_labels(array: np.ndarray) -> bool:
    """Whether whole numbers are labels: most of many values lie in areas of one value; a probability's do not."""
    counts = np.bincount(array.ravel())
    level = array[:, :, :-1][array[:, :, :-1] == array[:, :, 1:]]  # pixels whose right neighbour has their value
    equal = np.bincount(level, minlength=len(counts))
    values = [value for value in np.flatnonzero(counts) if 0 < value < len(counts) - 1]
    return len(values) >= 8 and float(np.median(equal[values] / counts[values])) > 0.5


def _mask(folder: Path, image: str, size: Sequence[int]) -> np.ndarray:
    """The (H, W) labels of one frame, such as "01/t002", from the challenge's 01_RES/mask002.tif or mask0002.tif."""
    video, number = image.split("/t")
    paths = [folder / f"{video}_RES" / f"mask{int(number):0{digits}d}.tif" for digits in (3, 4)]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise FileNotFoundError(f"{folder / f'{video}_RES'} lacks {paths[0].name}, the mask of a gold frame")
    array = _read(path)
    if array.shape != (1, *size):
        raise InputError(f"{path} is {array.shape} px, but a mask of this set is one page of {size[0]} x {size[1]} px")
    if array.dtype.kind not in "ui" or array.min() < 0:
        raise InputError(f"{path} holds {array.dtype} pixels: a mask holds whole numbers from 0, one for each cell")
    return array[0].astype(np.int64)
