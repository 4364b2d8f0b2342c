"""Files: written whole or not at all; where the project and the cache lie; hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import platformdirs
from safetensors import SafetensorError

from reprolib.asides import remove_dead, under_way
from reprolib.errors import InputError

PROJECT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; renamed to ``path`` when all is written, removed when anything fails.

    Raises:
        InputError: if ``path`` is there and no plain file: a link, pipe, device or folder is not replaced.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = under_way(path)
    try:
        yield aside
        os.chmod(aside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(aside, path)
    except OSError as error:
        raise OSError(error.errno, f"{path} could not be written ({error.strerror}); nothing was changed") from error
    except SafetensorError as error:  # what safetensors makes of a full disk
        raise OSError(f"{path} could not be written ({error}); nothing was changed") from error
    finally:
        aside.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Before long work: may a result be written to this name?

    Raises:
        InputError: if it is there and no plain file: a link, pipe, device or folder is not replaced.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"{path} is {_kind(path)}, which is not replaced by a file: give another name, or remove it")


def check_room(folder: Path, size: int = 0) -> None:
    """Before long work: can files of ``size`` bytes be written to this folder, which need not be there yet?

    What dead processes left half written in it is removed.

    Raises:
        InputError: if it is no folder, or may not be written to, or the disk has less room.
    """
    folder = Path(folder)
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise InputError(f"{there} is {_kind(there)}, no folder: results need a folder, give another")
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise InputError(f"{folder} cannot be written to ({error.strerror}): give another folder") from error
    remove_dead(folder)
    if (free := shutil.disk_usage(there).free) < size:
        raise InputError(
            f"the disk of {folder} has {free / 2**20:.1f} MiB free, and {size / 2**20:.1f} MiB are needed: make room, "
            "or give another folder"
        )


def _kind(path: Path) -> str:
    """What is there instead of what should be."""
    if path.is_symlink():
        return f"a link to {os.readlink(path)}"
    if path.is_file():
        return "a file"
    return "a folder" if path.is_dir() else "a pipe" if path.is_fifo() else "a device or socket"


def reserve(file: IO, size: int) -> None:
    """Take ``size`` bytes of the disk for an open file, before it is mapped: a full disk would kill a mapped write.

    Raises:
        OSError: if the disk has no room for them. Where the system cannot reserve, nothing happens.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # not on this kind of disk
                raise


def _umask() -> int:
    """What the user takes from the rights of new files; some libraries give theirs to the owner alone."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def write_text(path: Path, text: str) -> None:
    """Write a text file through `replacing`, in UTF-8."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def copy(path: Path, target: Path) -> None:
    """Copy a file's content through `replacing`."""
    with replacing(target) as aside:
        shutil.copyfile(path, aside)


def cache_folder() -> Path:
    """Where downloads and this machine's own runs lie: REPROLIB_CACHE, else the user's cache folder."""
    return Path(os.environ.get("REPROLIB_CACHE") or platformdirs.user_cache_dir("reprolib"))


def pixel_hash(array: np.ndarray) -> str:
    """SHA-256 of an array's pixels, little-endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
