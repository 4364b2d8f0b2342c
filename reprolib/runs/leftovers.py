"""What trainings that were killed left."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from reprolib.asides import remove_dead
from reprolib.errors import InputError
from reprolib.files import cache_folder
from reprolib.locks import held
from reprolib.runs import records


def remove_recorded(folder: Path) -> None:
    """Remove the checkpoints of trainings that were killed after their record was written: nothing is left to do.

    What dead trainings left half written beside checkpoints is removed too. A checkpoint of a training that is not
    done stays: the training can go on from it.

    Args:
        folder: where records may lie, besides that of this machine.
    """
    checkpoints = cache_folder() / "checkpoints"
    remove_dead(checkpoints)
    for path in checkpoints.glob("*.safetensors"):
        for place in {folder, cache_folder() / "runs"}:
            if _recorded(path, place / f"{path.stem}.json") and not held(path.with_suffix(".lock")):
                path.unlink(missing_ok=True)


def _recorded(checkpoint: Path, record: Path) -> bool:
    """Whether a record holds just the losses of a checkpoint."""
    try:
        if not record.is_file():
            return False
        with safe_open(checkpoint, "pt") as file:
            losses = file.get_tensor("losses").tolist()
        return records.read(record).loss == tuple(map(records.printed, losses))
    except (SafetensorError, InputError, OSError):
        return False
