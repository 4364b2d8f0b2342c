"""The files of a published data set (`reprolib.data.sources`), found, fetched and checked.

A set is looked for in the folder that `REPROLIB_DATA` names, then in the cache folder that `download` fills.
Pixels are hashed, not files, so a copy that is compressed otherwise is as good.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np

from reprolib.asides import folder_under_way
from reprolib.data.images import read_stack
from reprolib.data.sources import REAL, SOURCES, Pixels, check_name
from reprolib.errors import InputError, MissingData
from reprolib.files import cache_folder, check_room, pixel_hash

UNPACKED_LIMIT = 2**31  # bytes: far above the largest archive
MOST_MEMBERS = 10_000  # likewise
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}  # no fault of an archive


class Row(NamedTuple):
    """One line of `verify`; `found` is a hash, or says what is wrong."""

    file: str
    expected: str
    found: str
    ok: bool


def present(name: str, folder: str | Path | None = None) -> bool:
    """Whether all needed files are there (names and counts only; `load` and `verify` read the pixels)."""
    if check_name(name) not in SOURCES:
        return True
    return any(_complete(name, root) for root in _places(name, folder))


def verify(name: str, folder: str | Path | None = None) -> list[Row]:
    """Each file or folder of a set against its published pixels; whatever is wrong is told in its row.

    Raises MissingData if nothing of the set is there, ValueError for an unknown name and for phantoms.
    """
    if check_name(name) not in SOURCES:
        raise InputError(f"{name} is made from a seed and has no files to verify, as {', '.join(REAL)} have.")
    return verify_folder(name, set_folder(name, folder))


def verify_folder(name: str, root: Path) -> list[Row]:
    """As `verify`, for the folder that holds the set's own files."""
    rows = []
    for key, spec in SOURCES[name].arrays.items():
        if not spec.needed and not (root / key).exists():
            continue
        try:
            found = published_hash(read_array(root / key, spec, SOURCES[name].size), spec)
        except (MissingData, ValueError) as error:
            found = str(error)
        rows.append(Row(key, spec.sha256, found, found == spec.sha256))
    return rows


def download(name: str) -> Path:
    """Fetch a set from its publisher into the cache folder, verify it, and return its folder.

    Nothing is left behind unless every pixel of the needed files is as published; of the others, `verify` tells. A set
    that is there and sound is not fetched again.

    Raises:
        ValueError: unknown name, an unsafe archive, or other pixels than published.
        OSError: if the address does not answer, or the disk is full.
    """
    if check_name(name) not in SOURCES:
        raise InputError(f"{name} is made from a seed and is not fetched, as {', '.join(REAL)} are.")
    source = SOURCES[name]
    target = cache_folder() / "data" / source.folders[0]
    if _complete(name, target) and all(row.ok for row in verify_folder(name, target)):
        return target
    check_room(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    import pooch  # here, since its import warns in a notebook without widgets

    pooch.get_logger().setLevel("WARNING")  # it would print a file hash; pixels are what is checked here
    with folder_under_way(target) as aside:
        try:
            web = pooch.HTTPDownloader(timeout=60, progressbar=True)
            archive = pooch.retrieve(source.address, None, fname="archive.zip", path=aside, downloader=web)
        except OSError as error:
            raise OSError(f"{name} could not be fetched from {source.address} ({error}); {_by_hand(name)}.") from error
        unpacked = aside / "unpacked"
        unpack(Path(archive), unpacked)
        roots = [root for root in (unpacked, *sorted(unpacked.rglob("*/"))) if _complete(name, root)]
        if not roots:
            raise InputError(f"the archive from {source.address} does not hold {', '.join(_needed(name))}.")
        for row in verify_folder(name, roots[0]):
            if not row.ok and SOURCES[name].arrays[row.file].needed:  # of others, `verify` tells
                raise InputError(
                    f"{row.file} from {source.address} does not hold the published pixels: "
                    f"their SHA-256 is {row.found[:12]}, expected {row.expected[:12]}."
                    if len(row.found) == len(row.expected)
                    else row.found
                )
        if target.exists():  # an earlier copy that is incomplete or damaged
            shutil.rmtree(target)
        os.replace(roots[0], target)
    return target


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into a folder.

    Raises:
        InputError: if it is damaged, could do harm, or the disk has no room for what it holds.
        OSError: what the disk says while it is written to.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            if len(opened.infolist()) > MOST_MEMBERS:
                raise InputError(f"the archive has more than {MOST_MEMBERS} members; it is refused.")
            if (size := sum(member.file_size for member in opened.infolist())) > UNPACKED_LIMIT:
                raise InputError(f"the archive unpacks to more than {UNPACKED_LIMIT} bytes; it is refused.")
            check_room(folder, size)
            for member in opened.infolist():
                posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
                link = stat.S_ISLNK(member.external_attr >> 16)
                if link or windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts:
                    what = "is a link" if link else "points outside of its folder"
                    raise InputError(f"the archive is refused: its member {member.filename!r} {what}.")
            opened.extractall(folder)
    except InputError:
        raise
    except Exception as error:  # the unpackers raise a dozen kinds on damaged archives, OSError among them
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"what was fetched is not a sound zip archive ({reason}); fetch it again.") from error


def set_folder(name: str, folder: str | Path | None = None) -> Path:
    """The folder that holds a set's files; MissingData, which says how to get them, if there is none."""
    places = _places(name, folder)
    for root in places:
        if _complete(name, root):
            return root
    partly = [root for root in places if root.is_dir()]
    if partly:
        lacking = ", ".join(key for key in _needed(name) if not _holds(partly[0] / key, SOURCES[name].arrays[key]))
        raise MissingData(f"{name} is not complete in {partly[0]} (look at {lacking}): {_by_hand(name)}.")
    raise MissingData(f"{name} is not on this machine: {_by_hand(name)}.")


def _by_hand(name: str) -> str:
    source = SOURCES[name]
    return (
        f"run `reprolib data fetch {name}` (from {source.address}), or place a copy so that REPROLIB_DATA "
        f"names the folder that holds {source.folders[0]}/{_needed(name)[0]} and the rest of it"
    )


def _places(name: str, folder: str | Path | None) -> list[Path]:
    """Folders that may hold a set, in the order of search."""
    tops = [Path(folder)] if folder else data_folders()
    return [top / one for top in tops for one in SOURCES[name].folders]


def data_folders() -> list[Path]:
    """Where data is looked for, in this order: the folder that REPROLIB_DATA names, then the cache."""
    named = os.environ.get("REPROLIB_DATA")
    return [*([Path(named)] if named else []), cache_folder() / "data"]


def _needed(name: str) -> list[str]:
    return [key for key, spec in SOURCES[name].arrays.items() if spec.needed]


def _holds(path: Path, spec: Pixels) -> bool:
    return path.is_file() or (path.is_dir() and list(frame_files(path)) == _numbers(spec))


def _complete(name: str, root: Path) -> bool:
    return all(_holds(root / key, SOURCES[name].arrays[key]) for key in _needed(name))


def _numbers(spec: Pixels) -> list[int]:
    return list(range(spec.count) if spec.numbers is None else spec.numbers)


def frame_files(folder: Path) -> dict[int, Path]:
    """The frames of a video (t000.tif) or of its labels (man_seg000.tif, ...) by number, in order."""
    found = [re.fullmatch(r"(?:t|man_seg|man_track)(\d{3})\.tif", path.name) for path in folder.iterdir()]
    return {int(name[1]): folder / name[0] for name in sorted(filter(None, found), key=lambda name: name[0])}


def read_array(path: Path, spec: Pixels, size: tuple[int, int]) -> np.ndarray:
    """The pages of a TIFF, or the frames of a folder, as one (N, H, W) array as `spec` and `size` (H, W) say.

    Raises MissingData if there is none, ValueError, naming the file, if one is damaged, or of another shape
    or dtype.
    """
    if path.is_dir():
        named = frame_files(path)
        if odd := sorted(set(named) ^ set(_numbers(spec))):
            what = "should not have" if odd[0] in named else "lacks"
            raise InputError(f"{path} {what} a frame {odd[0]:03d}; it must hold {spec.count} frames.")
        files, depth = list(named.values()), 1
    elif path.is_file():
        files, depth = [path], spec.count
    else:
        raise MissingData(f"{path} is missing.")
    expected = (depth, *size)
    with ThreadPoolExecutor(4) as pool:  # the decoder lets go of the interpreter's lock
        read = list(pool.map(read_stack, files))
    for file, array in zip(files, read, strict=True):
        if array.shape != expected or array.dtype != spec.dtype:
            raise InputError(
                f"{file} holds {array.shape} pixels of {array.dtype}, expected {expected} of {spec.dtype}."
            )
    return np.concatenate(read) if len(read) > 1 else read[0]


def published_hash(array: np.ndarray, spec: Pixels) -> str:
    """The hash that is compared with the published one: that of all pixels, or of some rows of each page."""
    return pixel_hash(array if spec.rows is None else array[:, slice(*spec.rows)])
