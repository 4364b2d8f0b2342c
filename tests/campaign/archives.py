"""Damaged archives of a data set by the thousand: each must be unpacked, or refused in one sentence; nothing outside.

Archive number k of a seed is always the same.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from reprolib.data.published import unpack
from reprolib.errors import InputError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
PLACES = ("../evil.tif", "/evil.tif", "a/../../evil.tif", "C:evil", "..\\evil", "a\0b", "a" * 300, "a/" * 200 + "b", "")


@cache
def original(method: int) -> bytes:
    """A valid archive of three members, of which one lies in a folder."""
    rng = np.random.default_rng(method)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, size in (("set/a.tif", 900), ("set/b.tif", 2000), ("readme.txt", 40)):
            member = zipfile.ZipInfo(name, (2012, 1, 1, 0, 0, 0))
            member.compress_type = method
            opened.writestr(member, rng.integers(0, 8, size, np.uint8).tobytes())
    return buffer.getvalue()


def damaged(seed: int, number: int) -> tuple[str, bytes]:
    """Archive ``number`` of a seed: how it is packed, and its content: bytes changed, or members renamed or added."""
    rng = np.random.default_rng((seed, number))
    method = int(rng.choice(METHODS))
    content = bytearray(original(method))
    if rng.integers(6) == 0:
        return f"method {method}", _hostile(rng, method)
    for _ in range(int(rng.integers(1, 3))):
        place = int(rng.integers(len(content)))
        how = rng.integers(4)
        if how == 0:
            del content[place : place + int(rng.integers(1, 60))]
        elif how == 1:
            content[place : place + 4] = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])).to_bytes(4, "little")
        else:
            content[place] ^= 1 << int(rng.integers(8))
    if rng.integers(12) == 0:
        del content[int(rng.integers(len(content))) :]
    return f"method {method}", bytes(content)


def _hostile(rng: np.random.Generator, method: int) -> bytes:
    """Sound in itself, but a member's name leads elsewhere, or it is a link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        member = zipfile.ZipInfo(str(rng.choice(PLACES)) or "link", (2012, 1, 1, 0, 0, 0))
        if rng.integers(2):
            member.external_attr = 0o120777 << 16
        opened.writestr(member, "/etc/passwd")
        opened.writestr("set/a.tif", "x")
    return buffer.getvalue()


def judge(seed: int, number: int) -> tuple[str, str]:
    """How one damaged archive is packed, and what became of it: "unpacked", "sentence", or a fault."""
    what, content = damaged(seed, number)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.zip").write_bytes(content)
        target = Path(folder) / "within" / "set"
        try:
            unpack(Path(folder) / "a.zip", target)
            outcome = "unpacked"
        except InputError as error:
            outcome = "sentence" if "\n" not in str(error) and "archive" in str(error) else f"poor sentence: {error}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        outside = [one for one in Path(folder).rglob("*") if target not in (one, *one.parents) and not one.is_dir()]
        links = [one for one in Path(folder).rglob("*") if one.is_symlink()]
        if [one.name for one in outside] != ["a.zip"] or links or Path("/evil.tif").exists():
            outcome = "it wrote outside of its folder, or made a link"
    return what, outcome
