"""The page of licences is that of the lock, and says what the installed packages say."""

from __future__ import annotations

import re
from importlib.metadata import PathDistribution

import pytest

from tests import licences

VERSIONS = licences.locked((licences.ROOT / "requirements.lock").read_text())
LISTED = licences.listed(licences.FILE.read_text())


def test_the_page_lists_every_package_of_the_lock_in_its_version():
    assert len(VERSIONS) > 200
    assert {name: version for name, (version, _) in LISTED.items()} == VERSIONS
    assert {name for name, (_, licence) in LISTED.items() if licence == licences.NOT_STATED} == {"cuda-toolkit"}


def test_the_page_says_of_each_what_the_installed_package_says():
    found = licences.installed(VERSIONS)
    assert found.keys() >= {"numpy", "pytest"}, "the environment is not that of the lock"
    differ = {name: (LISTED[name][1], licences.stated(package)) for name, package in found.items()}
    assert {name: pair for name, pair in differ.items() if pair[0] != pair[1]} == {}


def test_no_package_is_under_the_gpl_alone():
    """Whoever passes the project on with its packages has the choice of a permissive licence for each."""
    gpl = {name for name, (_, licence) in LISTED.items() if re.search(r"GPL|GNU", licence)}
    assert gpl == {"docutils"}  # parts of it; most is in the public domain, or under BSD


@pytest.mark.parametrize(
    ("metadata", "file", "licence"),
    [
        ("License-Expression: MIT\nLicense: other", "", "MIT"),
        ("License: BSD 3-Clause\nClassifier: License :: OSI Approved :: BSD License", "", "BSD 3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: ISC License (ISCL)", "", "ISC License (ISCL)"),
        ("License: " + "text " * 20 + "\nClassifier: License :: OSI Approved :: BSD License", "", "BSD License"),
        ("License: Copyright (c) 2015\nClassifier: License :: OSI Approved :: BSD License", "", "BSD License"),
        ("Classifier: Topic :: Software", "MIT License\n\nCopyright (c) 2022", "MIT License"),
        ("Classifier: Topic :: Software", "Copyright (c) 2022\n\nRedistribution", "in its file LICENSE.txt"),
        ("Classifier: Topic :: Software", "", "not stated"),
    ],
)
def test_a_licence_is_read_where_a_package_states_it(tmp_path, metadata, file, licence):
    folder = tmp_path / "sample-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: sample\nVersion: 1.0\n{metadata}\n")
    if file:
        (folder / "LICENSE.txt").write_text(file)
        (folder / "RECORD").write_text(f"{folder.name}/LICENSE.txt,,\n")
    assert licences.stated(PathDistribution(folder)) == licence
