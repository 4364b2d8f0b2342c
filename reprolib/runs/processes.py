"""Several processes train one network, each on a device of its own: started by torchrun, joined by torch.distributed.

    torchrun --nproc-per-node 2 -m reprolib train batch=2

Each takes its share of every batch, and all add up their gradients before the update: so each holds the same weights
all along. Process 0 alone keeps checkpoint, weights and record. Without torchrun there is one process, number 0 of 1,
which exchanges nothing.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from reprolib.errors import Failed, InputError

PATIENCE = timedelta(minutes=30)  # others wait so long for one that writes a checkpoint or scores
_meetings = itertools.count()
T = TypeVar("T")


def count() -> int:
    """How many processes there are, as torchrun says.

    Raises:
        InputError: if the environment says something else than a number.
    """
    return _told("WORLD_SIZE", 1)


def number() -> int:
    """Which of them this is: 0, 1, ..., as torchrun says."""
    return _told("RANK", 0) if count() > 1 else 0


def number_here() -> int:
    """Which of those on this machine this is: 0, 1, ..., as torchrun says."""
    return _told("LOCAL_RANK", 0) if count() > 1 else 0


def _told(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise InputError(f"the environment variable {name} must be a number, as torchrun sets it, not {text!r}")
    return int(text)


def share(batch: int) -> range:
    """Which tiles of a batch this process takes, numbered from 0.

    Raises:
        InputError: if the processes cannot take equally many.
    """
    if batch % count():
        fits = max(1, round(batch / count())) * count()
        raise InputError(f"{count()} processes cannot share a batch of {batch}: set batch={fits}, or another multiple")
    part = batch // count()
    return range(number() * part, (number() + 1) * part)


@functools.cache
def _store() -> dist.Store:
    """Where the processes find each other; one for as long as they live."""
    return next(dist.rendezvous("env://", number(), count(), timeout=PATIENCE))[0]


@contextlib.contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Join all processes, to exchange what lies on their devices; a process alone joins nobody.

    Raises:
        InputError: if the others are not found.
    """
    if count() == 1:
        yield
        return
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise InputError(
                f"{count()} processes are announced by WORLD_SIZE, and {name} is not set: start them with "
                f"torchrun --nproc-per-node {count()} -m reprolib train"
            )
    # While it waits for others a process hears no signal but those that end it at once.
    heard = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        store = dist.PrefixStore(f"meeting {next(_meetings)}", _store())  # else it finds addresses of the last one
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=number(), world_size=count(), timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the {count()} processes did not find each other ({reason}): start them anew") from error
    if number() == 0:  # it has files to put in order before it ends
        signal.signal(signal.SIGTERM, heard)
    try:
        yield
    finally:
        dist.destroy_process_group()
        signal.signal(signal.SIGTERM, heard)


@contextlib.contextmanager
def _exchange() -> Iterator[None]:
    if not dist.is_initialized():
        raise InputError(f"{count()} processes were started and not joined: torchrun is for `reprolib train` alone")
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise Failed(
            f"another process of the training ended ({reason}): the same command goes on from there"
        ) from error


def add_up(values: Sequence[Tensor]) -> None:
    """Replace float32 tensors by their sums over all processes, in one exchange.

    Raises:
        Failed: if another process ended.
    """
    if count() == 1:
        return
    flat = torch.cat([value.reshape(-1) for value in values])
    with _exchange():
        dist.all_reduce(flat)
    for value, part in zip(values, flat.split([value.numel() for value in values]), strict=True):
        value.copy_(part.view_as(value))


def from_first(make: Callable[[], T]) -> T:
    """What process 0 makes, in every process.

    Raises:
        Failed: if another process ended.
    """
    if count() == 1:
        return make()
    box = [make() if number() == 0 else None]
    with _exchange():
        dist.broadcast_object_list(box)
    return box[0]


def check_alike(values: Mapping[str, object]) -> None:
    """Compare, by name, what every process must have alike.

    Raises:
        InputError: in every process, if one has another value than process 0; says of what.
        Failed: if another process ended.
    """
    if count() == 1:
        return
    everyone: list = [None] * count()
    with _exchange():
        dist.all_gather_object(everyone, dict(values))
    for name in values:
        for other, found in enumerate(everyone):
            if found[name] != everyone[0][name]:
                raise InputError(
                    f"process {other} has not the {name} of process 0: all need the same images, and one cache folder "
                    "(REPROLIB_CACHE)"
                )
