"""The licences of every package of the lock, as each package states its own: python -m tests.licences

Writes LICENCES.md from requirements.lock and the metadata of what is installed, in an environment made by the lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "LICENCES.md"
SHORT = 60  # characters; what is longer is no name of a licence but its text
NOT_STATED = "not stated"
HEAD = """# Licences of the packages

What each package of `requirements.lock` states of its own licence: in the field that its metadata have for it, or
else by their classifiers, or else in the first line of its licence file. One package, cuda-toolkit, states none: it
holds nothing but the names of NVIDIA's. The project's own are `LICENSE` (code)
and `LICENSE-TEXT.md` (text). NVIDIA's libraries come with torch and are needed by a GPU alone; what the
benchmarks compare with (`pip install -e '.[peers]'`) is not here.

Made by `python -m tests.licences`; a test compares it with the lock and with what is installed.

"""


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, str]:
    """The version of each package of a lock, by canonical name."""
    return {canonical(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def stated(package: Distribution) -> str:
    """The licence that an installed package states, or "not stated"."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    field = (metadata.get("License") or "").strip()
    if field and field != "UNKNOWN" and len(field) <= SHORT and not field.startswith("Copyright"):
        return field
    known = [line.split(" :: ")[-1] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")]
    if known:
        return ", ".join(known)
    for file in package.files or []:
        if re.fullmatch(r"(LICEN[CS]E|COPYING)(\.\w+)?", file.name) and (path := Path(file.locate())).is_file():
            first = path.read_text(encoding="utf-8", errors="replace").strip().partition("\n")[0].strip()
            named = 0 < len(first) <= SHORT and not first.startswith("Copyright")
            return first if named else f"in its file {file.name}"
    return NOT_STATED


def installed(versions: Mapping[str, str]) -> dict[str, Distribution]:
    """Those packages that are installed in the given versions, by canonical name."""
    found = {}
    for name, version in versions.items():
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        if package.version == version:
            found[name] = package
    return found


def listed(text: str) -> dict[str, tuple[str, str]]:
    """Version and licence of each package of such a page."""
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", text, re.MULTILINE)
    return {name: (version, licence) for name, version, licence in rows if name != "package"}


def main() -> None:
    versions = locked((ROOT / "requirements.lock").read_text())
    found = installed(versions)
    if lacking := sorted(versions.keys() - found.keys()):
        raise SystemExit(f"not installed in the version of the lock: {', '.join(lacking)}. Run make env first.")
    rows = [f"| {name} | {versions[name]} | {stated(found[name])} |" for name in sorted(versions)]
    FILE.write_text(HEAD + "\n".join(["| package | version | licence |", "|---|---|---|", *rows]) + "\n")


if __name__ == "__main__":
    main()
