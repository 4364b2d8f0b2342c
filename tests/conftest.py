"""Tests marked ``realdata`` need the real data sets, or those that the mark names.

Without them they are skipped, with the reason; with REPROLIB_REQUIRE_DATA=1 that is an error instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from reprolib import data
from reprolib.site import build


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks gain nothing from threads, and lose much where other programs run."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The book's site, built from the committed outputs: the folder with index.html."""
    folder = tmp_path_factory.mktemp("site")
    build.assemble(executed=None, source=folder / "source")
    return build.build_site(folder / "source", folder).parent


def pytest_collection_modifyitems(items):
    """Skip what needs real data that is not there, and say which."""
    there = {name: data.present(name) for name in data.REAL}
    for item in items:
        for marker in item.iter_markers("realdata"):
            lacking = [name for name in marker.args or data.REAL if not there[name]]
            if lacking and os.environ.get("REPROLIB_REQUIRE_DATA") == "1":
                raise pytest.UsageError(f"{item.nodeid} needs {', '.join(lacking)}, and may not be skipped here")
            if lacking:
                reason = f"needs {', '.join(lacking)}, which neither REPROLIB_DATA nor the cache holds"
                item.add_marker(pytest.mark.skip(reason=reason))
