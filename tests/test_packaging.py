"""The files that make the environment say the same thing; the package's layers hold; what is light stays light."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


def _pins(file: str = "constraints.txt") -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_canonical(name): version for name, version in pins}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _direct() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    found = [Requirement(line) for group in (PROJECT["dependencies"], *extras) for line in group]
    return [one for one in found if one.name != PROJECT["name"]]  # an extra that includes another


def test_the_constraints_pin_every_direct_dependency_to_a_version_it_allows():
    pins = _pins()
    for requirement in _direct():
        assert requirement.specifier.contains(pins[_canonical(requirement.name)]), str(requirement)


def _bounded() -> list[Requirement]:
    """What the package and those extras need that users install."""
    extras = (PROJECT["optional-dependencies"][extra] for extra in ("book", "package", "cluster"))
    return [Requirement(line) for group in (PROJECT["dependencies"], *extras) for line in group]


def test_every_dependency_has_a_lower_bound_and_the_oldest_constraints_pin_it_there():
    pins = _pins("constraints-oldest.txt")
    for requirement in _bounded():
        bounds = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
        assert bounds == [Version(pins[_canonical(requirement.name)])], str(requirement)


def test_the_oldest_constraints_are_no_newer_than_those_of_make_env():
    newest, oldest = _pins(), _pins("constraints-oldest.txt")
    direct = {_canonical(requirement.name) for requirement in _bounded()}
    assert {name for name in direct if Version(oldest[name]) > Version(newest[name])} == set()
    older = {name for name in direct if Version(oldest[name]) < Version(newest[name])}
    assert older >= {"numpy", "scipy", "torch", "scikit-image"}


def test_the_constraints_leave_room_for_a_torch_without_cuda():
    for file in ("constraints.txt", "constraints-oldest.txt"):
        assert not [name for name in _pins(file) if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_the_constraints_say_which_python_they_are_for():
    assert "Python 3.11" in (ROOT / "constraints.txt").read_text().splitlines()[0]


def _locked() -> dict[str, tuple[str, int]]:
    """Per package of the lock: its version, and how many files its hashes allow."""
    entries = re.split(r"\n(?=\w)", "\n" + (ROOT / "requirements.lock").read_text().partition("\n\n")[2])
    found = {}
    for entry in filter(str.strip, entries):
        name, version = re.match(r"\s*([\w.-]+)==(\S+)", entry).groups()
        found[_canonical(name)] = version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
    return found


def test_the_lock_has_every_package_of_the_environment_by_hash_in_the_version_of_the_constraints():
    locked, pins = _locked(), _pins()
    assert all(files for _, files in locked.values())
    assert {name: version for name, (version, _) in locked.items() if pins.get(name, version) != version} == {}
    peers = {_canonical(Requirement(line).name) for line in PROJECT["optional-dependencies"]["peers"]}
    assert {_canonical(one.name) for one in _direct()} - set(locked) <= peers


def test_what_the_lock_adds_to_the_constraints_is_cuda_and_the_tools_of_installing():
    beyond = set(_locked()) - set(_pins())
    assert all(re.match("nvidia-|cuda-|triton$|(setuptools|wheel)$", name) for name in beyond), beyond


def test_conda_gets_a_python_that_the_project_allows():
    python = next(item for item in CONDA["dependencies"] if isinstance(item, str) and item.startswith("python"))
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(python.split("=")[1] + ".0")


def test_conda_installs_the_same_extras_under_the_same_constraints_as_make():
    through_pip = next(item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
    assert through_pip == ["-c constraints.txt", "-e .[dev]"]
    assert "-c constraints.txt -e '.[dev]'" in (ROOT / "Makefile").read_text()
    assert list(PROJECT["optional-dependencies"]) == ["book", "package", "cluster", "dev", "peers"]


def test_no_import_runs_upwards_through_the_layers(capsys):
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "code",
    [
        "import reprolib",
        "import runpy, sys; sys.argv = ['reprolib', '--help']; runpy.run_module('reprolib.cli', run_name='__main__')",
    ],
    ids=["import reprolib", "python -m reprolib.cli --help"],
)
def test_what_is_to_answer_at_once_imports_neither_torch_nor_numpy(code):
    told = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
    done = subprocess.run([sys.executable, "-c", told + code], capture_output=True, text=True, cwd=ROOT)
    imported = set(done.stderr.split())
    assert done.returncode == 0 and "reprolib" in imported
    assert ("Commands:" in done.stdout) == ("--help" in code)
    assert not imported & {"torch", "numpy"}


# What is installed for the book alone, and what Windows lacks (psutil takes it where it is there).
HIDE = """
import psutil, sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
sys.meta_path.insert(0, Hide())
"""
HIDDEN = ("papermill", "nbformat", "nbstripout", "statsmodels", "bs4", "IPython", "torchvision", "resource", "fcntl")


def test_images_of_ones_own_need_nothing_of_the_books_and_no_module_that_windows_lacks():
    code = HIDE.replace("{hidden}", repr(HIDDEN)) + (
        "from reprolib import cli\n"
        "import reprolib.own.training, reprolib.own.predict, reprolib.own.report, reprolib.evaluation.challenge\n"
        "sys.exit(cli.main(['run', 'book/07_em.ipynb', '--list']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "reprolib: this is about the book and needs" in done.stderr and "pip install" in done.stderr


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_actions_by_commit_and_names_their_version(path):
    used = re.findall(r"uses: *(.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+(\.\d+)*", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_the_job_that_deploys_may_write_and_none_keeps_the_token_in_its_checkout(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert name == "deploy" or "permissions" not in job
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)
