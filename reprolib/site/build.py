"""The book as a whole: execute every chapter, choose which outputs each page shows, build the site.

The notebooks committed in book/ hold outputs made from the real data. A build executes every chapter into
_build/executed/; a page shows that execution where it had the chapter's data, and the committed outputs
otherwise.

    reprolib book build              execute every chapter, assemble, build the site
    reprolib book serve              show the built site at an address of this computer
    reprolib book pdf                print the built site into one PDF
    reprolib book publish [NAME..]   execute on the real data and store the outputs in book/
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import yaml

from reprolib import data
from reprolib.asides import folder_under_way, remove_dead
from reprolib.claims import chinese, done, listing, primary
from reprolib.errors import Failed, InputError, MissingData
from reprolib.files import write_text
from reprolib.plan import purposes
from reprolib.printing import markdown, plain
from reprolib.progress import duration
from reprolib.site import alive, status, tidy
from reprolib.site.chapters import BOOK, Execution, chapters, code_hash, needs, parameters, read, run, strip
from reprolib.site.child import COMMAND, tied
from reprolib.site.status import Shown
from reprolib.site.swap import alone, swap

ROOT = BOOK.parent
BUILD = ROOT / "_build"
LAUNCH = """**In the browser.** The rocket at the head of a chapter opens it on Binder or Colab. Binder makes the
environment by itself, which takes some minutes. On Colab, put this into a cell before the first one and run it:

```
!git clone --depth 1 {url} project && pip install -q -e project
import sys; sys.path.insert(0, "project")
```
"""
PUBLISHED = "published.json"  # in book/: the executions whose outputs the committed notebooks hold
RECORD = "record.json"  # beside executed chapters: their executions


def execute_all(paths: Sequence[Path], folder: Path) -> dict[str, Execution]:
    """Execute chapters into `folder`, replacing what is there; their records go beside them (record.json).

    Up to four run at a time, each on its share of the cores: small networks gain little from threads, and threads that
    wait for one another lose much where another program runs. Every chapter is tried; if any failed, Failed names
    them all.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    at_once = min(4, cores, len(paths))
    earlier = _read_records(BOOK / PUBLISHED)
    expected = {path: earlier[path.stem].seconds if path.stem in earlier else 10.0 for path in paths}
    executed, failed, finished, begin = {}, [], 0.0, time.perf_counter()
    pool, ended = ThreadPoolExecutor(at_once), threading.Event()
    try:
        futures = {
            pool.submit(run, path, folder / path.name, log=False, threads=cores // at_once, ended=ended): path
            for path in sorted(paths, key=expected.__getitem__, reverse=True)
        }
        for number, future in enumerate(as_completed(futures), 1):
            path = futures[future]
            finished += expected[path]
            try:
                executed[path.stem] = execution = future.result()
            except Failed as error:
                failed.append(str(error))
                note = "FAILED"
            else:
                lacked = f", without {' and '.join(execution.missing)}" if execution.missing else ""
                note = f"{execution.seconds:.0f} s, {execution.peak_mb:.0f} MiB{lacked}"
            left = (time.perf_counter() - begin) * (sum(expected.values()) / finished - 1)
            print(f"[{number}/{len(paths)}] {path.stem}: {note}; {duration(left)} left", flush=True)
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)  # an interrupt ends the chapters under way, and no other begins
    if failed:
        raise Failed(f"{len(failed)} of {len(paths)} chapters failed. " + " ".join(sorted(failed)))
    machine = status.describe_machine() | {"threads": cores // at_once}
    executed = {name: dataclasses.replace(execution, machine=machine) for name, execution in sorted(executed.items())}
    _write_records(folder / RECORD, executed)
    return executed


def build() -> None:
    """Execute every chapter and build the site; prints which outputs each page shows, and where the site lies.

    Until the new site is complete the old one stays as it is. Raises Busy where another process builds it.
    """
    with alone(BUILD / "html"):
        execute_all(chapters(), BUILD / "executed")
        for item in assemble():
            print(f"{item.chapter}: {item.source} ({item.why})")
        print(f"The book is at {build_site()}")


def publish(names: Sequence[str] = (), folder: Path = BOOK) -> None:
    """Execute chapters (all, or those named) on the real data and store the stripped results in `folder`.

    Raises MissingData where a data set that one needs is absent, Busy where another process publishes. Nothing is
    stored unless all ran; killed while it stores, it leaves whole chapters, and no record of those it was to store.
    """
    paths = chapters(names, folder)
    absent = sorted({name for path in paths for name in needs(path) if not data.present(name)})
    if absent:
        raise MissingData(f"Chapters are published from the real data only; absent: {', '.join(absent)}.")
    with alone(BUILD / "published"):
        executed = execute_all(paths, BUILD / "published")
        remove_dead(folder)
        known = _read_records(folder / PUBLISHED)
        _write_records(folder / PUBLISHED, {name: one for name, one in known.items() if name not in executed})
        for path in paths:
            strip(BUILD / "published" / path.name, path)
        _write_records(folder / PUBLISHED, known | executed)


def choose(chapter: Path, fresh: Execution | None, published: Execution | None) -> Shown:
    """Which outputs of a chapter the site shows: a fresh execution's only if it ran this code on its data."""
    code = code_hash(read(chapter))
    if fresh is None:
        why = "not executed in this build"
    elif fresh.code != code:
        why = "the execution in this build is of other code"
    elif fresh.missing:
        why = f"the execution in this build lacked {' and '.join(fresh.missing)}"
    else:
        return Shown(chapter.stem, "fresh", " and ".join(fresh.needs) or "needs no data set", fresh)
    if published is not None and published.code != code:
        why, published = why + "; the code has changed since its outputs were stored", None
    return Shown(chapter.stem, "committed", why, published)


def assemble(
    book: Path = BOOK, executed: Path | None = BUILD / "executed", source: Path = BUILD / "source"
) -> list[Shown]:
    """Lay out the site's source: settings, pages, each chapter as `choose` says, and the status page.

    executed : folder of fresh executions, None for the committed outputs alone.
    """
    fresh = _read_records(executed / RECORD) if executed else {}
    published = _read_records(book / PUBLISHED)
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(book, source / "book", ignore=shutil.ignore_patterns(".*", PUBLISHED))
    shutil.copy(book.parent / "_toc.yml", source / "_toc.yml")
    settings = launchable(yaml.safe_load((book.parent / "_config.yml").read_text(encoding="utf-8")))
    write_text(source / "_config.yml", yaml.safe_dump(settings, sort_keys=False))
    shown = []
    for path in chapters(folder=book):
        shown.append(choose(path, fresh.get(path.stem), published.get(path.stem)))
        if shown[-1].source == "fresh":
            strip(executed / path.name, source / "book" / path.name)
    write_text(source / "book" / "status.md", status.page(shown))
    if (book / "try.md").exists():
        alive.write(source / "book" / "_static" / "try")
    url = settings["repository"]["url"]
    made = {
        "rerun.md": {
            "<!-- parameters -->": lambda: parameters_table(chapters(folder=book)),
            "<!-- launch -->": lambda: LAUNCH.format(url=url) if url else "",
        },
        "protocol.md": {
            "<!-- headline -->": purposes.headline_table,
            "<!-- primary claims -->": purposes.primary_table,
        },
        "plan.md": {"<!-- plan -->": purposes.markdown, "<!-- claims -->": primary.table, "<!-- done -->": done.table},
        "zh.md": {"<!-- results -->": lambda: chinese.results(listing.claims())},
    }
    for name, parts in made.items():
        page = source / "book" / name
        if page.exists():
            text = page.read_text(encoding="utf-8")
            for mark, part in parts.items():
                text = text.replace(mark, part())
            write_text(page, text)
    return shown


def launchable(settings: dict) -> dict:
    """The site's settings; if they hold the project's address, with buttons for it, Binder and Colab."""
    repository, config = settings["repository"], settings["sphinx"]["config"]
    if not repository["url"]:
        return settings
    theme = config["html_theme_options"] | {  # given to the theme: its options here replace Jupyter Book's own
        "repository_url": repository["url"],
        "repository_branch": repository["branch"],
        "path_to_docs": repository["path_to_book"],
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }
    return settings | {"sphinx": settings["sphinx"] | {"config": config | {"html_theme_options": theme}}}


def parameters_table(paths: Sequence[Path]) -> str:
    """Every parameter of the chapters as MyST Markdown: name, type, default, meaning, read from the notebooks."""
    rows = []
    for path in paths:
        for count, one in enumerate(parameters(path).values()):
            page = "" if count else f"{{doc}}`{path.stem}`"
            shown = plain(repr(one.default))
            code = f"`{shown}`" if shown == repr(one.default) else shown  # in code nothing is escaped
            rows.append((page, f"`{one.name}`", one.type, code, plain(one.help)))
    return markdown(("chapter", "parameter", "type", "default", "meaning"), rows, words=5)


def build_site(source: Path = BUILD / "source", folder: Path = ROOT) -> Path:
    """Build the assembled book with stored outputs, every warning an error; then it replaces `folder`/_build/html.

    Returns the path of index.html. Raises Failed where jupyter-book fails, or where index.html or a
    chapter's page is missing or empty; the site that was there stays then.
    """
    site = (folder / "_build" / "html").resolve()
    with folder_under_way(site) as work:
        command = [*COMMAND, "jupyter_book.cli.main:main", "build", str(source), "--path-output", str(work)]
        with tied() as stdin:
            built = subprocess.run(
                [*command, "--quiet", "-W", "-n", "--keep-going"],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        if built.returncode != 0:
            raise Failed(f"jupyter-book failed:\n{built.stdout.strip()}")
        html = work / "_build" / "html"
        for page in ("index", *(f"book/{path.stem}" for path in chapters(folder=source / "book"))):
            written = html / f"{page}.html"
            if not written.is_file() or written.stat().st_size == 0:
                raise Failed(f"jupyter-book built no page {page}.html:\n{built.stdout.strip()}")
        for page in [*html.glob("*.html"), *html.glob("book/*.html")]:
            write_text(page, tidy.tidy(page.read_text(encoding="utf-8")))
        for picture in html.glob("_images/*.png"):
            if picture.stat().st_size > tidy.HEAVY:
                tidy.lighten(picture)
        swap(html, site)
    return site / "index.html"


def _write_records(path: Path, records: Mapping[str, Execution]) -> None:
    write_text(
        path,
        json.dumps({name: dataclasses.asdict(records[name]) for name in sorted(records)}, indent=1) + "\n",
    )


def _read_records(path: Path) -> dict[str, Execution]:
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Execution(**entry | {"needs": tuple(entry["needs"]), "missing": tuple(entry["missing"])})
            for name, entry in entries.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{path} holds no records of executions: bring it back from git, or publish anew.") from None
