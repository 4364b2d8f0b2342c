"""Work spread over the workers of a Dask scheduler, or done here: each item once, and what fails told in a sentence.

A worker that dies is replaced by the scheduler's others. A scheduler that dies ends the work with a sentence; what is
done is for the work itself to keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import logging
import os
import platform
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from reprolib.errors import Failed, InputError, ReprolibError
from reprolib.progress import Progress, Report
from reprolib.runs.machine import code_version

if TYPE_CHECKING:
    from distributed import Client

ANSWER_WITHIN = 10.0  # seconds
AHEAD = 4  # items a worker's thread that the scheduler holds at a time, so that its memory does not grow with the work
LEAST_AHEAD = 64
MOST_FAILED = 20  # items; then it is not about an item
LIBRARIES = ("dask", "distributed", "torch", "numpy", "scipy", "zarr")


@contextlib.contextmanager
def connected(scheduler: str | None, workers: int = 0, report: Report = print) -> Iterator[Client | None]:
    """The client of a scheduler; None where the work is to be done here.

    Args:
        scheduler: an address such as tcp://node7:8786, a scheduler's file (.json), "local" for a cluster of processes
            of this machine that ends with the block, or None.
        workers: processes of a local cluster; 0: one a processor core.
        report: told when workers are waited for.

    Raises:
        InputError: if no scheduler answers there, or its workers run other versions than this process.
    """
    if scheduler is None:
        yield None
        return
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is told in a sentence
    if workers < 0:
        raise InputError(f"workers must be 1 or more, not {workers}")
    with contextlib.ExitStack() as opened:
        if scheduler == "local":
            count = workers or os.cpu_count() or 1
            quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
            cluster = opened.enter_context(LocalCluster(n_workers=count, threads_per_worker=1, **quiet))
            client = opened.enter_context(Client(cluster))
        else:
            client = opened.enter_context(_answering(scheduler))
        told = False
        while not client.nthreads():
            if not told:
                report(f"no worker is at {scheduler} yet: waiting for one")
            told = True
            time.sleep(0.5)
        _check_workers(client)
        yield client


def _answering(scheduler: str) -> Client:
    """The client of a scheduler that answers."""
    from distributed import Client

    advice = "start one with `dask scheduler`, and name its address (tcp://HOST:8786) or its --scheduler-file"
    if scheduler.endswith(".json") and not Path(scheduler).is_file():
        raise InputError(f"the scheduler's file {scheduler} does not exist: {advice}")
    try:
        file = scheduler.endswith(".json")
        address = json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"] if file else scheduler
        with ThreadPoolExecutor(1) as apart:  # a notebook's own thread runs a loop already
            kind = apart.submit(asyncio.run, asyncio.wait_for(_kind(address), ANSWER_WITHIN)).result()
        if kind != "Scheduler":
            raise ValueError(f"a {kind} does")
        return Client(address, timeout=ANSWER_WITHIN)
    except (OSError, ValueError, KeyError, TypeError) as error:  # no answer, no address, no scheduler's file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"no scheduler answers at {scheduler} ({reason}): {advice}") from error


async def _kind(address: str) -> str:
    """What answers at an address, by its own word; `Client` would wait without end for one that says nothing."""
    from distributed.core import rpc
    from distributed.security import Security

    connection = Security().get_connection_args("client")
    async with rpc(address, timeout=ANSWER_WITHIN, connection_args=connection) as there:
        return (await there.identity())["type"]


@functools.cache
def versions() -> dict[str, str]:
    """What the bits and the messages between processes depend on."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "reprolib": code_version()}
    return found | {name: metadata.version(name) for name in LIBRARIES}


def _check_workers(client: Client) -> None:
    """Refuse workers that run other versions, or have none of this module."""
    try:
        for there in client.run(versions, on_error="raise").values():
            _check_versions(versions(), there)
    except ModuleNotFoundError as error:
        raise InputError(
            f"a worker cannot import {error.name}: start workers from the environment of this command"
        ) from error


def _check_versions(here: dict[str, str], there: dict[str, str]) -> None:
    other = [f"{name} {there.get(name)} there and {version} here" for name, version in here.items()]
    other = [text for text, name in zip(other, here, strict=True) if there.get(name) != here[name]]
    if other:
        raise InputError(
            f"a worker runs other versions ({', '.join(other)}): start workers from the environment of this command"
        )


def _checked(expected: dict[str, str], work: Callable, item):
    """``work(item)`` on a worker, which may have come after `_check_workers`."""
    _check_versions(expected, versions())
    try:
        return work(item)
    except OSError as error:  # of which machine is not said otherwise
        raise OSError(f"{error} (on {socket.gethostname()})") from error


def each(
    client: Client | None, work: Callable, items: Iterable, unit: str, report: Report | None = None
) -> Iterator[tuple]:
    """Do ``work(item)`` for every item; gives each (item, result) as it comes.

    Args:
        client: of `connected`; None does it here, in order.
        work: a function of a module, or a partial of one; done twice, it must leave the same.
        items: small values that differ, such as named tuples.
        unit: what an item is, such as "region", for the progress and for what is told.

    Raises:
        Failed: if items failed by what a user can put right, or by a worker that died over them: after all others are
            done, or MOST_FAILED have failed. At once if the scheduler is gone.
        Exception: at once, whatever else the work raised: a bug.
    """
    items, failed = list(items), {}
    with Progress(len(items), unit, report if len(items) > 1 else None) as progress:
        for item, result in _outcomes(client, work, items):
            progress.update()
            if not isinstance(result, ReprolibError | OSError):
                yield item, result
                continue
            failed[item] = result
            if len(failed) == MOST_FAILED:
                break
    if failed:
        item = next(one for one in items if one in failed)
        count = f"{len(failed)} of {len(items)} {unit}s" if len(items) > 1 else f"the {unit}"
        told = f"{count} failed, {item} by: {failed[item]}; what is done stays, and the same command goes on"
        raise Failed(told) from failed[item]


def _outcomes(client: Client | None, work: Callable, items: list) -> Iterator[tuple]:
    """Each item with its result, or with the error that a user can put right."""
    if client is None:
        for item in items:
            try:
                result = work(item)
            except (ReprolibError, OSError) as error:
                result = error
            yield item, result
        return
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    job = functools.partial(_checked, versions(), work)
    waiting, under_way, running = iter(items), {}, as_completed()

    def submit(count: int) -> None:
        if more := list(itertools.islice(waiting, count)):
            futures = client.map(job, more, pure=False)
            under_way.update(zip((future.key for future in futures), more, strict=True))
            running.update(futures)

    submit(max(LEAST_AHEAD, AHEAD * sum(client.nthreads().values())))
    for batch in running.batches():
        for future in batch:
            item = under_way.pop(future.key)
            try:
                result = future.result()  # of a worker that died since, another one's, which is waited for
            except KilledWorker:
                result = Failed("workers died over it again and again: give less --memory, or workers more of it")
            except (ReprolibError, OSError, CancelledError) as error:
                if future.status != "error":  # not the work's own
                    gone = "the scheduler is gone: start it and its workers again; the same command goes on"
                    raise Failed(gone) from error
                result = error
            yield item, result
        submit(len(batch))
