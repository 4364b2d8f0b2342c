"""Workers of a scheduler make the bytes that one process makes; what goes wrong with them is told in a sentence."""

from __future__ import annotations

import functools
import http.server
import re
import threading

import pytest

from reprolib import cli
from reprolib.cluster import connect, store, work
from reprolib.cluster.connect import connected, each
from reprolib.cluster.predict import predict_volume
from reprolib.errors import Failed, InputError
from tests.cluster import volumes

LocalCluster = pytest.importorskip("distributed").LocalCluster


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return volumes.network(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def address():
    """Of a scheduler with two workers, threads of this process: what a test patches is patched in them too."""
    with LocalCluster(2, processes=False, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def quiet(line: str) -> None:
    pass


def predicted(record, source, target, **options):
    return list(predict_volume(record.path, source, target, **({"tile": volumes.TILE, "report": quiet} | options)))


def test_processes_of_a_local_cluster_make_the_same_bytes(tmp_path, record, capsys):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 50, 40))
    predicted(record, source, tmp_path / "here.zarr", threshold=0.7)
    words = ["predict", str(record.path), str(source), "--to", str(tmp_path / "there.zarr")]
    assert cli.main([*words, "--tile", str(volumes.TILE), "--threshold", "0.7", "--workers", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("cells\n") and "Traceback" not in err
    assert volumes.files(tmp_path / "here.zarr") == volumes.files(tmp_path / "there.zarr")


def test_workers_of_a_scheduler_make_the_same_bytes_and_load_the_network_once_each(tmp_path, record, address):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(3, 50, 40), chunks=(2, 32, 32))
    predicted(record, source, tmp_path / "here.zarr", threshold=0.7)
    work.network.cache_clear()
    predicted(record, source, tmp_path / "there.zarr", threshold=0.7, scheduler=address)
    assert volumes.files(tmp_path / "here.zarr") == volumes.files(tmp_path / "there.zarr")
    assert work.network.cache_info().misses <= 2  # two workers, in one process here


def test_what_one_scheduler_began_goes_on_without_one(tmp_path, record, address):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 50, 40))
    predicted(record, source, tmp_path / "whole.zarr", threshold=0.7)
    piece, said = source / "0" / "c" / "1" / "1" / "1", []
    piece.rename(tmp_path / "aside")
    piece.write_bytes(b"damaged")
    told = r"1 of 2 looks failed, .* restore it.*; what is done stays, and the same command goes on"
    with pytest.raises(Failed, match=told):
        predicted(record, source, tmp_path / "out.zarr", threshold=0.7, scheduler=address)
    (tmp_path / "aside").rename(piece)
    predicted(record, source, tmp_path / "out.zarr", threshold=0.7, report=said.append)
    assert "look: 1 done before, 1 missing" in said
    assert volumes.files(tmp_path / "whole.zarr") == volumes.files(tmp_path / "out.zarr")


@pytest.mark.parametrize(
    "scheduler", ["tcp://127.0.0.1:9", "nowhere.json", "no address", "ftp://host:1", "", "local:x"]
)
def test_an_address_that_does_not_answer_is_told_with_what_to_do(tmp_path, record, monkeypatch, scheduler, capsys):
    monkeypatch.setattr(connect, "ANSWER_WITHIN", 0.3)
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 30, 30))
    words = ["predict", str(record.path), str(source), "--to", str(tmp_path / "out.zarr"), "--scheduler", scheduler]
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("reprolib") and err.count("\n") == 1 and "`dask scheduler`" in err
    assert not (tmp_path / "out.zarr").exists()


def test_what_answers_and_is_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr(connect, "ANSWER_WITHIN", 1.0)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="no scheduler answers at"):
            with connected(f"tcp://127.0.0.1:{server.server_port}"):
                pass
        server.shutdown()


def test_workers_of_other_versions_are_refused_also_those_that_come_late(address, monkeypatch):
    here = connect.versions()

    def versions():  # tasks run in threads of their own
        return here | ({} if threading.current_thread() is threading.main_thread() else {"torch": "1.0"})

    told = rf"torch 1\.0 there and {re.escape(here['torch'])} here.*from the environment of this command"
    with connected(address) as client:
        monkeypatch.setattr(connect, "versions", versions)
        with pytest.raises(Failed, match=told):
            list(each(client, _double, [1], "number"))
    with pytest.raises(InputError, match=told), connected(address):
        pass


def _double(item):
    return 2 * item


def _fails_at(bad, error, item):
    if item in bad:
        raise error
    return item


@pytest.mark.parametrize("where", ["here", "there"])
def test_each_item_is_done_once_and_those_that_fail_do_not_stop_the_others(address, where):
    with connected(address if where == "there" else None) as client:
        assert sorted(each(client, _double, range(300), "number")) == [(k, 2 * k) for k in range(300)]
        work, outcomes = functools.partial(_fails_at, {3, 70}, InputError("it is odd")), []
        with pytest.raises(Failed, match=r"2 of 200 numbers failed, 3 by: it is odd; what is done stays"):
            for outcome in each(client, work, range(200), "number"):
                outcomes.append(outcome)
        assert len(outcomes) == 198
        with pytest.raises(Failed, match="20 of 200 numbers failed"):
            list(each(client, functools.partial(_fails_at, range(200), OSError("full")), range(200), "number"))
        with pytest.raises(ZeroDivisionError):  # a bug is no failure of an item
            list(each(client, functools.partial(_fails_at, {5}, ZeroDivisionError()), range(10), "number"))


def test_a_worker_without_permission_or_without_the_disk_says_where(tmp_path, record, address, monkeypatch):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 30, 30))

    def refuses(*arguments):
        raise PermissionError(13, "Permission denied", "image/0/c/0/0/0")

    with monkeypatch.context() as patched:
        patched.setattr("reprolib.cluster.work.put", refuses)
        with pytest.raises(Failed, match=r"predictions failed, .*Permission denied: 'image/0/c/0/0/0' \(on "):
            predicted(record, source, tmp_path / "out.zarr", scheduler=address)
    assert not (tmp_path / "out.zarr").exists()

    def elsewhere(part):
        raise InputError(f"a worker does not see {part}")

    store.array.cache_clear()
    monkeypatch.setattr("reprolib.cluster.store.check_seen", elsewhere)
    with pytest.raises(Failed, match="a worker does not see"):
        predicted(record, source, tmp_path / "out.zarr", scheduler=address)


def test_a_store_that_cannot_be_written_is_told(tmp_path, record, capsys):
    source = volumes.write(tmp_path / "in.zarr", volumes.pixels(2, 30, 30))
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "out.zarr", "/proc/out.zarr"):
        assert cli.main(["predict", str(record.path), str(source), "--to", str(target)]) == 2
        err = capsys.readouterr().err
        assert err.startswith("reprolib") and err.count("\n") == 1
