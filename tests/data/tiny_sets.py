"""What the tests of the data sets share: tiny stacks as files and archives, a scene of cells, the real sets."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache

import numpy as np
from PIL import Image

from reprolib import data

PAGES, SIZE = 5, (12, 10)
RNG = np.random.default_rng(7)
VOLUME = RNG.integers(0, 256, size=(PAGES, *SIZE), dtype=np.uint8)
LABELS = np.where(RNG.random((PAGES, *SIZE)) < 0.3, 0, 255).astype(np.uint8)
TEST_PAGES = np.random.default_rng(3).choice(np.array([0, 255], np.uint8), size=(PAGES, *SIZE), p=[0.3, 0.7])
loaded = cache(data.load)


def save(path, pages, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=rest, **options) if rest else first.save(path, **options)


def sha(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


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


def ids(instances):
    return [k for k in np.unique(instances) if k]


def scene():
    """Three cells with markers 4, 5 and 9, of which 9 has no mask; masks are numbered otherwise."""
    gold, markers = np.zeros((2, 60, 90), dtype=np.uint16)
    gold[10:30, 5:25], gold[35:55, 10:35] = 1, 2
    markers[18:22, 12:16], markers[44:48, 20:24], markers[28:31, 70:73] = 5, 4, 9
    return gold, markers
