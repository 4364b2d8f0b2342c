"""What dead processes left is removed; what a live process, another computer or a person made is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprolib import asides, files
from reprolib.asides import place


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_what_surely_dead_processes_left_is_removed(tmp_path, dead):
    gone = [
        f".a.tif.{dead}.{place()}.part", f".a.{dead}.{place()}.part.ipynb",
        f"..a.b.{dead}.{place()}.part.{dead}.{place()}.part",
    ]  # fmt: skip
    stays = [
        "a.tif", ".part", f".a.tif.{dead}.part", f".a.tif.{dead}.0badf00d.part", f".a.tif.x.{place()}.part",
        f".a.tif.{os.getppid()}.{place()}.part", f".a.tif.{os.getpid()}.{place()}.part", f".a.tif.{dead}.{place()}",
        f"a.tif.{dead}.{place()}.part",
    ]  # fmt: skip
    for name in gone + stays:
        (tmp_path / name).write_text("")
    folder = tmp_path / f".site.{dead}.{place()}.part"
    (folder / "within").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    (tmp_path / f".link.{dead}.{place()}.part").symlink_to(tmp_path / "elsewhere")
    asides.remove_dead(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*stays, "elsewhere"])
    assert (tmp_path / "elsewhere" / "file").exists()


def test_what_an_earlier_process_of_a_living_ones_number_left_is_removed(tmp_path):
    left = tmp_path / f".a.{os.getpid()}.{place()}.part"
    left.write_text("")
    asides.remove_dead(tmp_path)
    assert left.exists()
    os.utime(left, (0, 0))
    asides.remove_dead(tmp_path)
    assert not left.exists()


def test_what_a_killed_write_left_is_removed_before_the_next_work_in_its_folder(tmp_path):
    code = (
        "import pathlib, signal, os; from reprolib.files import replacing\n"
        f"with replacing(pathlib.Path({str(tmp_path / 'out' / 'a.tif')!r})) as aside:\n"
        "    aside.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode != 0
    (left,) = (tmp_path / "out").iterdir()
    assert left.name.startswith(".a.tif.") and left.read_text() == "half"
    files.check_room(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_to_work_in_is_gone_after_it_and_so_is_a_dead_ones(tmp_path, dead):
    (tmp_path / f".set.{dead}.{place()}.part").mkdir()
    with pytest.raises(ZeroDivisionError), asides.folder_under_way(tmp_path / "set") as work:
        assert list(tmp_path.iterdir()) == [work] and not list(work.iterdir())
        (work / "some").write_text("")
        raise ZeroDivisionError
    with asides.folder_under_way(tmp_path / "set") as work:
        Path(work).rename(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
