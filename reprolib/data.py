"""Data sets as arrays: images, instance labels, regions that are not annotated, folds (paper, Sec. 4).

`load` reads a published set or makes a phantom, `load_folder` reads images and labels of your own. Loading
never downloads: `download` does, and `MissingData` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from reprolib.files import (
    MissingData,
    cache_folder,
    download,
    find,
    pixel_hash,
    present,
    published_hash,
    read_array,
    read_image,
    verify,
)
from reprolib.sources import PHANTOM_OF, REAL, SOURCES, TEST_LABELS, TEST_ROWS, known, nearest

__all__ = [
    "PHANTOM_OF",
    "REAL",
    "SOURCES",
    "Dataset",
    "MissingData",
    "blocks",
    "cache_folder",
    "download",
    "frames",
    "load",
    "load_folder",
    "present",
    "silver_truth",
    "test_labels",
    "unannotated",
    "unmasked_markers",
    "untrained",
    "verify",
]

RING = 10  # px round a gold cell that count as background in a frame where most cells bear no mask
BORDER = 50  # px: the challenge's field of interest leaves out cells so near to the edge of a frame


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with instance labels, and how they are split into folds."""

    name: str
    images: np.ndarray  # (N, H, W) uint8 grey values
    instances: np.ndarray  # (N, H, W) int32: 0 = background (EM: membrane), 1.. = cells, per image
    ignore: np.ndarray  # (N, H, W) bool: True = not annotated, so neither trained on nor scored
    names: tuple[str, ...]  # one per image: "slice 00", "01/t002"
    folds: tuple[tuple[int, ...], ...]  # folds[k - 1] = the images held out in fold k; all others train
    hashes: dict[str, str]  # file or folder -> SHA-256 of its pixels, as found
    phantom: bool  # True = synthetic
    border: int = 0  # px: cells so near to the edge may bear neither mask nor marker, see `untrained`


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
    if known(name) not in SOURCES:
        from reprolib import phantoms  # it needs Dataset from here

        return phantoms.phantom(name)
    root = find(name, folder)
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
    if known(name) not in SOURCES:
        raise ValueError(f"{name} is made from a seed and has no parts, as {', '.join(REAL)} have.")
    parts = [part for part in SOURCES[name].arrays if not any(word in part for word in ("label", "_GT", "_ST"))]
    if key not in parts:
        raise ValueError(f"{name} has no images {key!r}: {nearest(key, parts)}")
    return _published(name, find(name, folder), key)


def test_labels(folder: str | Path | None = None) -> np.ndarray:
    """Labels of ISBI 2012's test slices, rows 66 to 511 of each, verified: (30, 446, 512) uint8, 255 = cell.

    For scoring alone: nothing may be chosen on them. They lie in the challenge's archive as ``test-labels.tif``; a
    recovered copy, complete in these rows, may stand in for it.

    Raises:
        MissingData: if neither file is there.
        ValueError: if it does not hold the published pixels.
    """
    root = find("isbi2012", folder)
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
    return _published(name, find(name, folder), f"{video:02d}_ST/SEG").astype(np.int32)


def _published(name: str, root: Path, key: str) -> np.ndarray:
    """The pixels of a file or folder, if they are the published ones."""
    spec = SOURCES[name].arrays[key]
    array = read_array(root / key, spec, SOURCES[name].size)
    if (found := published_hash(array, spec)) != spec.sha256:
        raise ValueError(
            f"{root / key} does not hold the published pixels: "
            f"their SHA-256 is {found[:12]}, expected {spec.sha256[:12]}."
        )
    return array


def unmasked_markers(gold: np.ndarray, markers: np.ndarray) -> list[int]:
    """Numbers of the tracking markers whose cell has no gold mask: none covers more than half of the marker.

    The Cell Tracking Challenge matches results to markers by the same rule.

    Args:
        gold: (H, W) integer gold masks, 0 = background.
        markers: (H, W) integer tracking markers, 0 = none, numbered otherwise than the masks.
    """
    missing = []
    for number in np.unique(markers[markers > 0]):
        covered = np.bincount(gold[markers == number], minlength=2)
        if 2 * covered[1:].max() <= covered.sum():
            missing.append(int(number))
    return missing


def unannotated(gold: np.ndarray, markers: np.ndarray, ring: int = RING) -> np.ndarray:
    """Where a gold frame is not annotated: (H, W) bool. Masks read 0 there, which does not mean background.

    A cell with a tracking marker but no gold mask lies somewhere round its marker. Its region here is the
    marker's watershed region where the landscape is the distance to the nearest marker: all pixels nearer to
    it than to any other cell's marker, less the gold masks. The annotated cells flood from their *markers*
    too: flooding from their masks would put the divide half-way between a mask and a marker, inside the cell
    that is to be left out. Grey values give no better landscape: faint borders let a region leak, or stop it
    at the nucleus.

    Where fewer than half of the markers have a mask, all that is farther than `ring` px from a mask is left
    out too.
    """
    missing = unmasked_markers(gold, markers)
    if not missing:
        return np.zeros(gold.shape, dtype=bool)
    row, column = ndimage.distance_transform_edt(markers == 0, return_distances=False, return_indices=True)
    region = np.isin(markers[row, column], missing)
    masked = len(np.unique(markers[markers > 0])) - len(missing)
    if masked < len(missing):
        region |= ndimage.distance_transform_edt(gold == 0) > ring
    return region & (gold == 0)


def untrained(dataset: Dataset, index: int) -> np.ndarray:
    """Pixels of one image that teach nothing, (H, W) bool: `ignore`, and near the edge all that bears no mask.

    Cells at the edge of a frame often have neither gold mask nor marker: they lie outside the field of interest of
    the Cell Tracking Challenge. SEG is not changed by them, since a result cell without a gold one costs nothing. But
    a network must not learn that they are background. `Dataset.border` says how near is near (px; 0 = nowhere).
    """
    unlabelled = dataset.instances[index] == 0
    inside = np.zeros_like(unlabelled)
    inside[tuple(slice(dataset.border, side - dataset.border) for side in unlabelled.shape)] = True
    return dataset.ignore[index] | (unlabelled & ~inside)


def load_folder(path: str | Path, folds: int = 5) -> Dataset:
    """Your own images: `images/` and `labels/` hold files of equal names (.tif or .png) and one size.

    Images are 8-bit grey. Labels are whole numbers: 0 = background, 1.. = one number per cell. Folds are
    contiguous blocks in name order, so neighbouring frames of a video or stack stay together.

    Raises:
        FileNotFoundError: if a folder is missing or holds no images.
        ValueError: names that do not pair up, other shapes or dtypes, colour, stacks, labels without a cell,
            labels with one number for all cells, or more folds than images.
    """
    path = Path(path)
    images, labels = _listed(path / "images"), _listed(path / "labels")
    alone = sorted(images.keys() ^ labels.keys())
    if alone:
        where = path / ("labels" if alone[0] in images else "images")
        raise ValueError(f"{where} has no file named {alone[0]}: every image needs labels of the same name.")
    if not 2 <= folds <= len(images):
        raise ValueError(f"folds must be 2 to {len(images)}, the number of images, not {folds}.")
    grey, cells = [], []
    for stem in images:
        grey.append(_single(images[stem], "image"))
        cells.append(_single(labels[stem], "labels"))
        for file, array in ((images[stem], grey[-1]), (labels[stem], cells[-1])):
            if array.shape != grey[0].shape:
                raise ValueError(f"{file} is {array.shape} px, not {grey[0].shape} as the first image.")
        if grey[-1].dtype != np.uint8:
            raise ValueError(f"{images[stem]} has {grey[-1].dtype} pixels: convert it to 8-bit grey (uint8) first.")
        if cells[-1].dtype.kind not in "ui" or cells[-1].min() < 0 or cells[-1].max() >= 2**31:
            raise ValueError(f"{labels[stem]} must hold whole numbers from 0, not {cells[-1].dtype} pixels.")
        if not cells[-1].any():
            raise ValueError(f"{labels[stem]} has no cell: all its pixels are 0.")
    pixels, instances = np.stack(grey), np.stack(cells).astype(np.int32)
    if all(len(np.unique(one)) <= 2 for one in cells) and any(ndimage.label(one)[1] > 1 for one in cells):
        raise ValueError(f"{path / 'labels'} has one number for all cells of an image: number them from 1.")
    return Dataset(
        name=f"own-{path.resolve().name}",
        images=pixels,
        instances=instances,
        ignore=np.zeros(pixels.shape, dtype=bool),
        names=tuple(images),
        folds=blocks(len(images), folds),
        hashes={"images": pixel_hash(pixels), "labels": pixel_hash(instances)},
        phantom=False,
    )


def _listed(folder: Path) -> dict[str, Path]:
    """Image files of a folder by name without ending, in order."""
    files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
    files = [file for file in files if file.suffix.lower() in {".tif", ".tiff", ".png"}]
    if not files:
        raise FileNotFoundError(f"{folder} must hold .tif or .png files, and there are none.")
    named = {file.stem: file for file in files}
    if len(named) < len(files):
        raise ValueError(f"{folder} holds one name with two endings: keep one of the two.")
    return named


def _single(file: Path, kind: str) -> np.ndarray:
    """The (H, W) pixels of a one-page grey image."""
    array = read_image(file)
    with Image.open(file) as opened:
        if opened.mode == "P" and kind == "image":
            raise ValueError(f"{file} has a colour table: convert it to 8-bit grey first.")
    if array.ndim != 3:
        raise ValueError(f"{file} is a colour image ({array.shape[-1]} channels): convert it to grey first.")
    if len(array) != 1:
        raise ValueError(f"{file} is a stack of {len(array)} pages: save each page as a file of its own.")
    return array[0]


def blocks(count: int, folds: int) -> tuple[tuple[int, ...], ...]:
    """Indices 0 to count - 1 in contiguous blocks of as equal length as can be."""
    return tuple(tuple(int(index) for index in block) for block in np.array_split(np.arange(count), folds))
