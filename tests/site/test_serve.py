"""The built site at an address of this computer: what is asked for comes, and what is missing is said."""

from __future__ import annotations

import urllib.request

import pytest

from reprolib.errors import Failed
from reprolib.site.serve import serve, serving


def test_pages_and_the_kinds_of_files_that_a_browser_must_be_told(tmp_path):
    kinds = {"index.html": "text/html", "a.mjs": "text/javascript", "a.wasm": "application/wasm"}
    for name in kinds:
        (tmp_path / name).write_text(name)
    with serving(tmp_path) as address:
        assert address.startswith("http://127.0.0.1:")
        for name, kind in kinds.items():
            with urllib.request.urlopen(address + name) as answer:
                assert answer.read().decode() == name
                found = answer.headers.get_content_type().replace("application/javascript", "text/javascript")
                assert found == kind


def test_no_site_and_a_port_that_is_taken_get_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="run make book first"):
        serve(tmp_path)
    (tmp_path / "index.html").write_text("x")
    with serving(tmp_path) as address, pytest.raises(Failed, match="is taken by another program"):
        serve(tmp_path, int(address.rstrip("/").rpartition(":")[2]))
