"""Data sets by name (Sec. 4): a published one, read and verified, or a phantom.

Loading never downloads: `download` does, and `MissingData` says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from reprolib.data.annotated import unannotated
from reprolib.data.dataset import Dataset, blocks
from reprolib.data.phantoms import phantom
from reprolib.data.published import published_hash, read_array, set_folder
from reprolib.data.sources import REAL, SOURCES, TEST_LABELS, TEST_ROWS, check_name
from reprolib.errors import InputError, MissingData, nearest

BORDER = 50  # px: the challenge's field of interest leaves out cells so near to the edge of a frame


def load(name: str, folder: str | Path | None = None) -> Dataset:
    """A data set with its labels, verified; "phantom-em", "phantom-phc" and "phantom-dic" need no files.

    ISBI 2012: cells are the 4-connected components of label 255; five folds of six contiguous slices. Cell
    videos: only the frames with gold masks; fold 1 holds out video 01, fold 2 video 02; `ignore` as in
    `unannotated`.

    Args:
        folder: the data folder to look in, and nowhere else. Default: REPROLIB_DATA, then the cache folder.

    Raises:
        MissingData: if it is not on this machine.
        ValueError: unknown name, or a file that is damaged or does not hold the published pixels.
    """
    if check_name(name) not in SOURCES:
        return phantom(name)
    root = set_folder(name, folder)
    arrays, hashes = {}, {}
    for key, spec in SOURCES[name].arrays.items():
        if spec.needed:
            arrays[key], hashes[key] = _published(name, root, key), spec.sha256
    if name == "isbi2012":
        images = arrays["train-volume.tif"]
        instances = np.stack([ndimage.label(page == 255)[0] for page in arrays["train-labels.tif"]])
        ignore = np.zeros(images.shape, dtype=bool)
        names = [f"slice {index:02d}" for index in range(len(images))]
        folds, border = blocks(len(images), 5), 0
    else:
        border = BORDER
        chosen, gold, markers, names, folds = [], [], [], [], []
        for video in ("01", "02"):
            frames = list(SOURCES[name].arrays[f"{video}_GT/SEG"].numbers)
            folds.append(tuple(range(len(names), len(names) + len(frames))))
            names += [f"{video}/t{frame:03d}" for frame in frames]
            chosen.append(arrays[video][frames])
            gold.append(arrays[f"{video}_GT/SEG"])
            markers.append(arrays[f"{video}_GT/TRA"][frames])
        images, instances = np.concatenate(chosen), np.concatenate(gold)
        pairs = zip(instances, np.concatenate(markers), strict=True)
        ignore = np.stack([unannotated(cells, marks) for cells, marks in pairs])
    instances = instances.astype(np.int32)
    return Dataset(name, images, instances, ignore, tuple(names), tuple(folds), hashes, phantom=False, border=border)


def frames(name: str, key: str, folder: str | Path | None = None) -> np.ndarray:
    """All images of one part of a published set, with labels or without, verified: (N, H, W) uint8.

    Args:
        key: "test-volume.tif" (see `test_labels`) or "train-volume.tif" of isbi2012; "01" or "02",
            a whole video, of a cell set.
        folder: as for `load`.

    Raises:
        MissingData, ValueError: as `load`, and where the set has no such part.
    """
    if check_name(name) not in SOURCES:
        raise InputError(f"{name} is made from a seed and has no parts, as {', '.join(REAL)} have.")
    parts = [part for part in SOURCES[name].arrays if not any(word in part for word in ("label", "_GT", "_ST"))]
    if key not in parts:
        raise InputError(f"{name} has no images {key!r}: {nearest(key, parts)}")
    return _published(name, set_folder(name, folder), key)


def test_labels(folder: str | Path | None = None) -> np.ndarray:
    """Labels of ISBI 2012's test slices, rows 66 to 511 of each, verified: (30, 446, 512) uint8, 255 = cell.

    For scoring alone: nothing may be chosen on them. They lie in the challenge's archive as ``test-labels.tif``; a
    recovered copy, complete in these rows, may stand in for it.

    Raises:
        MissingData: if neither file is there.
        ValueError: if it does not hold the published pixels.
    """
    root = set_folder("isbi2012", folder)
    for key in TEST_LABELS:
        if (root / key).exists():
            return _published("isbi2012", root, key)[:, slice(*TEST_ROWS)]
    raise MissingData(
        f"{root} lacks {TEST_LABELS[0]}, the labels of the test slices: it lies in the archive of the challenge, "
        f"{SOURCES['isbi2012'].address}."
    )


def silver_truth(name: str, video: int, folder: str | Path | None = None) -> np.ndarray:
    """The challenge's silver truth of a whole video, (N, H, W) int32 instance labels, verified; later than the paper.

    Args:
        name: of a cell set. video: 1 or 2.

    Raises:
        MissingData, ValueError: as `load`.
    """
    return _published(name, set_folder(name, folder), f"{video:02d}_ST/SEG").astype(np.int32)


def _published(name: str, root: Path, key: str) -> np.ndarray:
    """The pixels of a file or folder, if they are the published ones."""
    spec = SOURCES[name].arrays[key]
    array = read_array(root / key, spec, SOURCES[name].size)
    if (sha256 := published_hash(array, spec)) != spec.sha256:
        raise InputError(
            f"{root / key} does not hold the published pixels: "
            f"their SHA-256 is {sha256[:12]}, expected {spec.sha256[:12]}."
        )
    return array
