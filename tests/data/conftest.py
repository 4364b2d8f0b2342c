"""Tiny data sets in the place of the published ones, and a publisher on this machine."""

from __future__ import annotations

import dataclasses
import http.server
import threading

import pytest
from tiny_sets import LABELS, PAGES, SIZE, TEST_PAGES, VOLUME, fill, sha

from reprolib.data import sets, sources


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The table's isbi2012 with tiny arrays, and empty folders for data and cache; yields the data folder."""
    arrays = {
        "train-volume.tif": sources.Pixels(PAGES, "uint8", sha(VOLUME)),
        "train-labels.tif": sources.Pixels(PAGES, "uint8", sha(LABELS)),
    }
    source = dataclasses.replace(sources.SOURCES["isbi2012"], arrays=arrays, size=SIZE)
    monkeypatch.setitem(sources.SOURCES, "isbi2012", source)
    monkeypatch.setenv("REPROLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def publisher(small, monkeypatch):
    """A web server on this machine that hands out ``publisher.content`` and counts the requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.content)))
            self.end_headers()
            self.wfile.write(server.content)

        def log_message(self, *ignored):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.content = 0, b""
    address = f"http://127.0.0.1:{server.server_port}/set.zip"
    changed = dataclasses.replace(sources.SOURCES["isbi2012"], address=address)
    monkeypatch.setitem(sources.SOURCES, "isbi2012", changed)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def with_test_labels(small, monkeypatch):
    """The tiny set with test labels of which rows 4 to 11 are published; their folder."""
    spec = sources.Pixels(PAGES, "uint8", sha(TEST_PAGES[:, 4:12].copy()), needed=False, rows=(4, 12))
    source = sources.SOURCES["isbi2012"]
    changed = dataclasses.replace(source, arrays=source.arrays | dict.fromkeys(sources.TEST_LABELS, spec))
    monkeypatch.setitem(sources.SOURCES, "isbi2012", changed)
    monkeypatch.setattr(sets, "TEST_ROWS", (4, 12))
    fill(small)
    return small / "isbi2012"
