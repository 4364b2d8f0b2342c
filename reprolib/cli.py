"""The command line, ``reprolib``: data, check, train, run, verify, plan, predict, package, export, score, claims, book.

Each command reads its options here and is done elsewhere. What it needs is imported when it runs: PyTorch alone takes
two seconds, and ``reprolib --help`` is to answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from reprolib.errors import InputError, ReprolibError
from reprolib.experiment import Experiment, parse_fields

PATH = click.Path(path_type=Path)
EXTRAS = {  # what is installed for a part alone: what that is about, and its modules
    "package": ("packages", ("bioimageio", "onnx")),
    "cluster": ("a scheduler", ("dask", "distributed")),
    "book": ("the book", ("papermill", "nbformat", "nbstripout", "statsmodels", "bs4")),
}
RESUMED = ("train", "plan", "run", "book")  # commands that train, which leaves checkpoints
DEFAULTS = ", ".join(f"{name}={value}" for name, value in Experiment().to_dict().items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check failed, 2 a mistake (told in one sentence).

    What is no mistake of the user's, nor of the disk's, is a bug: its traceback is shown.
    """
    try:
        return commands.main(arguments, prog_name="reprolib", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        extra = next((extra for extra, (_, modules) in EXTRAS.items() if name in modules), None)
        if extra is None:
            raise
        what = EXTRAS[extra][0]
        print(f"reprolib: this is about {what} and needs {name}: pip install 'reprolib[{extra}]'", file=sys.stderr)
        return 2
    except (ReprolibError, OSError) as error:
        print(f"reprolib{_of_several()}: {error}", file=sys.stderr)
        return 2
    except (click.Abort, KeyboardInterrupt):
        words = sys.argv[1:] if arguments is None else arguments
        further = "; the same command goes on from the last checkpoint, if there is one yet"
        print(f"reprolib: interrupted{further if {*words[:1]} & {*RESUMED} else ''}", file=sys.stderr)
        return 130


def _of_several() -> str:
    """Which of several processes speaks, if torchrun started several."""
    count = os.environ.get("WORLD_SIZE", "1")
    return "" if count == "1" else f", process {os.environ.get('RANK')} of {count}"


@click.group(help="U-Net (Ronneberger, Fischer, Brox, 2015), reproduced.", no_args_is_help=True)
@click.pass_context
def commands(context: click.Context):
    if _of_several() and context.invoked_subcommand != "train":
        raise InputError(f"{context.invoked_subcommand} is one process's work: start it without torchrun")
    for name in ("SIGTERM", "SIGHUP"):  # told to end, it ends as after Ctrl-C: with its children, and nothing half done
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:  # as under nohup
            signal.signal(getattr(signal, name), signal.default_int_handler)


def say(line: str) -> None:
    """A line of what is going on, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)


@commands.command()
@click.argument("action", type=click.Choice(["fetch", "verify"]))
@click.argument("names", nargs=-1, metavar="[NAME]...")
def data(action: str, names: tuple[str, ...]) -> int:
    """Fetch the data sets into the cache, or verify the pixels of those that are here.

    NAME: isbi2012, phc-u373, dic-hela; all three by default.
    """
    from reprolib import data

    names = names or data.REAL
    if action == "fetch":
        for name in names:
            print(f"{name}: {data.download(name)}")
        return 0
    rows = [(name, row) for name in names for row in data.verify(name)]
    for name, row in rows:
        print(f"{name} {row.file}: {'as published' if row.ok else f'differs: {row.found}, expected {row.expected}'}")
    return 0 if all(row.ok for _, row in rows) else 1


@commands.command(epilog=f"Fields and their defaults: {DEFAULTS}")
@click.argument("fields", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--images", type=PATH, help="Train on your own images: a folder as `reprolib check` takes it.")
@click.option("--channels", help="Of your own images: grey, rgb, or numbers such as 1,3 (default: all).")
@click.option("--ignore", type=int, metavar="N", help="The number in your labels where nobody has looked.")
@click.option("--task", default="objects", help="objects (default), or classes: each pixel is one of several.")
@click.option("--from", "start", type=PATH, metavar="RECORD", help="Start from the weights of this run (.json).")
@click.option("--more-data", is_flag=True, help="Train on a quarter and on half of your images too: would more help?")
@click.option("--minutes", default=15.0, help="For your own images: how long to train, unless steps=N is set.")
@click.option("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps.")
@click.option("--threads", type=int, default=0, help="Processor threads (default: as many as PyTorch chooses).")
@click.option("--resume-anyway", is_flag=True, help="Go on with other threads, device or versions; the record says so.")
@click.option("--wait", is_flag=True, help="Wait for another process that trains this, and take its record.")
@click.option("--again", is_flag=True, help="Train even if the run is recorded already.")
@click.option("--rotations", is_flag=True, help="Score the mean over 7 rotated versions too (Table 1).")
@click.option("--no-weights", is_flag=True, help="Keep the record alone, with the hash of the weights.")
@click.option("--to", "folder", type=PATH, help="Folder for record and weights (default: runs in the cache folder).")
def train(
    fields,
    images,
    channels,
    ignore,
    task,
    start,
    more_data,
    minutes,
    device,
    threads,
    resume_anyway,
    wait,
    again,
    rotations,
    no_weights,
    folder,
) -> int:
    """Train an experiment, score it on the images held out, and record it.

    Fields are set as NAME=VALUE, such as fold=5 width=16 steps=500; what is not set is as in the paper, or ours where
    it is silent. With --images what is not set is chosen by the images. Interrupted, the same command goes on from
    there. With several devices: torchrun --nproc-per-node N -m reprolib train batch=N ...
    """
    values = parse_fields([*fields, f"channels={channels}"] if channels else fields)
    from reprolib.own import training

    how = (device, threads, again, rotations, not no_weights, folder, minutes, start, ignore, more_data, task)
    known = training.train(values, images, *how, resume_anyway=resume_anyway, wait=wait)
    if known:
        print(f"recorded already: {known.path} (--again trains it anew)")
    return 0


@commands.command()
@click.argument("folder", type=PATH)
@click.option("--to", "overlays", type=PATH, help="Write each image with the outlines of its objects to this folder.")
@click.option("--ignore", type=int, metavar="N", help="The number in your labels where nobody has looked.")
@click.option("--task", default="objects", help="objects (default), or classes: each pixel is one of several.")
def check(folder: Path, overlays: Path | None, ignore: int | None, task: str) -> int:
    """Say what a FOLDER of your own images and labels holds, and all that is wrong with it.

    Images and labels lie in images/ and labels/ (or masks/) under the same names; or side by side (cell.tif and
    cell_mask.tif); or in a folder for each image with images/ and masks/, one mask file an object.
    """
    from reprolib.own.folder import check

    lines, problems = check(folder, overlays, ignore, task)
    print("\n".join([*lines, *(f"wrong: {problem}" for problem in problems)]))
    return 1 if problems else 0


@commands.command()
@click.argument("chapter", type=PATH)
@click.option("-p", "values", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("-o", "--output", type=PATH, help="Where the executed copy goes (default: NAME.out.ipynb here).")
@click.option("-l", "--list", "listed", is_flag=True, help="Only list the chapter's parameters.")
def run(chapter: Path, values, output: Path | None, listed: bool) -> int:
    """Execute a chapter, such as book/07_em.ipynb, with other parameters."""
    from reprolib.site import chapters

    if listed:
        for parameter in chapters.parameters(chapter).values():
            print(f"{parameter.name}: {parameter.type} = {parameter.default!r}  {parameter.help}")
        return 0
    output = output or Path.cwd() / f"{chapter.stem}.out.ipynb"
    execution = chapters.run(chapter, output, dict(values))
    print(f"{output}: executed in {execution.seconds:.0f} s")
    return 0


@commands.command()
@click.option("--runs", type=PATH, help="Folder of records (default: the published ones).")
@click.option("--replay", type=int, default=0, metavar="N", help="Retrain each run's first N steps, compare losses.")
def verify(runs: Path | None, replay: int) -> int:
    """Recompute the published scores from recorded weights."""
    from reprolib.plan import verify

    checks = verify.verify(runs, replay, report=say)
    print("\n".join(verify.lines(checks)))
    outcomes = [check.ok for check in checks]
    return 1 if False in outcomes else 0 if True in outcomes else 2


@commands.command()
@click.argument("action", required=False, type=click.Choice(["run"]))
@click.option("--workers", default=2, metavar="N", help="Runs at a time, a thread each (default: 2).")
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask (or its file): its workers train, one run a thread each.")
@click.option("--hours", type=float, help="Stop after so long; start no run that cannot finish by then.")
@click.option("--resumable", is_flag=True, help="Start such a run all the same: its checkpoint stays.")
@click.option("--resume-anyway", is_flag=True, help="Go on with checkpoints of other threads, devices or versions.")
@click.option("--only", default="", metavar="TEXT", help="The purposes whose names hold this text.")
@click.option("--to", "folder", type=PATH, help="Folder for records and weights (default: runs of the project).")
def plan(action, workers, scheduler, hours, resumable, resume_anyway, only, folder) -> int:
    """List the runs of the book; "run": train those that are missing."""
    from reprolib.plan import purposes

    if action is None:
        print(purposes.text(folder))
        return 0
    from reprolib.plan import runner

    def report(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    if scheduler is not None:
        from reprolib.plan import spread

        if hours or resumable:
            raise click.UsageError("a scheduler's runs have no --hours and no --resumable: they end with its workers")
        spread.run(scheduler, folder, only, report, resume_anyway)
        return 0
    failed = runner.run(workers, hours, folder, resumable, only, report, resume_anyway)
    return 1 if failed else 0


@commands.command()
@click.argument("record", type=PATH)
@click.argument("inputs", nargs=-1, required=True, type=PATH)
@click.option("--to", "folder", type=PATH, required=True, help="Folder for the results; it holds none of the inputs.")
@click.option("--tile", type=int, help="Side of the input tile in px (default: as large as --memory allows).")
@click.option("--memory", default=1.0, metavar="GIB", help="For one tile's features (default: 1).")
@click.option("--fast", is_flag=True, help="In bfloat16 where the processor computes in it.")
@click.option("--threshold", type=float, help="Of cells, then components (default: as chosen in training).")
@click.option("--smallest", type=int, metavar="PX", help="Drop smaller cells (default: as chosen in training).")
@click.option("--no-cells", is_flag=True, help="Write the probabilities alone.")
@click.option("--rois", is_flag=True, help="Write the cells as ImageJ's regions too: NAME.rois.zip.")
@click.option("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps.")
@click.option("--threads", default=0, help="Processor threads (default: as many as PyTorch chooses; of volumes, 1).")
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask (or its file): spread a volume over its workers.")
@click.option("--workers", default=0, metavar="N", help="Spread a volume over so many processes of this machine.")
def predict(
    record,
    inputs,
    folder,
    tile,
    memory,
    fast,
    threshold,
    smallest,
    no_cells,
    rois,
    device,
    threads,
    scheduler,
    workers,
) -> int:
    """Segment INPUTS, image files or folders of them, with the network of a RECORD (.json, its weights beside it).

    For each image: NAME.probability.tif (255 = certainly cell), NAME.cells.tif (a number an object), NAME.outlines.png
    and NAME.cells.csv, what is measured of each object; and cells.csv for all of them. Interrupted, the same command
    goes on.

    A volume (OME-Zarr) of any size: --to NAME.zarr gives one image of probabilities, with all cells in one numbering in
    its labels/cells; --scheduler spreads its tiles over the workers of a cluster.
    """
    from reprolib.own.predict import predict

    chosen = (tile, memory, fast, threshold, smallest, not no_cells, say, device)
    if workers and not scheduler:
        scheduler = "local"
    if folder.suffix == ".zarr" or scheduler is not None:
        from reprolib.cluster.predict import predict_volume

        if len(inputs) != 1 or rois:
            raise click.UsageError("a volume is predicted by itself: one input, --to NAME.zarr, no --rois")
        lines = predict_volume(record, *inputs, folder, scheduler, workers, *chosen, threads or 1)
    else:
        lines = predict(record, inputs, folder, *chosen, threads, rois)
    for line in lines:
        print(line, flush=True)
    return 0


@commands.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--to", "output", type=PATH, required=True, help="TIFF file (EM test slices), or folder (cell videos).")
@click.option("--rotations", is_flag=True, help="Mean over 7 rotated versions of each image.")
@click.option("--threshold", type=float, help="Of cells (default: fixed on the training frames).")
def export(runs, output, rotations, threshold) -> int:
    """Segment a challenge's images with recorded networks, in the challenge's own format.

    RUNS: isbi2012, phc-u373 or dic-hela for its published networks, or run records (.json) of one set, with weights.
    """
    from reprolib.own import export
    from reprolib.plan import purposes

    print(export.export(purposes.records_of(runs), output, rotations, threshold, say))
    return 0


@commands.command()
@click.argument("record", type=PATH)
@click.option("--to", "output", type=PATH, required=True, help="The package, .zip.")
@click.option("--images", type=PATH, help="The folder of your own images that it was trained on.")
@click.option("--ignore", type=int, metavar="N", help="The number in your labels where nobody has looked.")
def package(record: Path, output: Path, images: Path | None, ignore: int | None) -> int:
    """Write the network of a RECORD as a BioImage.IO package, for other programs: ONNX, TorchScript, model card."""
    from reprolib.own.package import package
    from reprolib.runs import records

    print(package(records.read(record), output, images, ignore))
    return 0


@commands.command()
@click.argument("name")
@click.argument("results", type=PATH)
@click.option("--labels", type=PATH, help="The archive's test-labels.tif (default: rows 66 on).")
@click.option("--invert", is_flag=True, help="The stack holds the probability of membrane: score 1 - p.")
@click.option("--json", "kept", type=PATH, help="Write the scores, at every threshold, to this file.")
def score(name, results, labels, invert, kept) -> int:
    """Score RESULTS of any program as the closed challenges did; NAME: isbi2012, phc-u373 or dic-hela.

    RESULTS: a TIFF stack of the 30 EM test slices, the probability of not membrane; or a folder that holds
    01_RES/mask000.tif ...
    """
    from reprolib.evaluation import challenge

    for line in challenge.report(name, results, labels, invert, kept):
        print(line)
    return 0


@commands.command()
def claims() -> int:
    """Print the table of claims and verdicts that the README holds."""
    from reprolib.claims import listing, render

    print(render.readme(listing.claims()))
    return 0


@commands.command()
@click.argument("action", type=click.Choice(["build", "publish", "serve", "pdf"]))
@click.argument("names", nargs=-1, metavar="[CHAPTER]...")
def book(action: str, names: tuple[str, ...]) -> int:
    """Execute every chapter and build the site.

    serve: show the built site at an address of this computer. pdf: print it into one PDF, which its first page then
    offers. publish: execute chapters on the real data and store their outputs.

    CHAPTER: to publish these alone, such as 03_overlap_tile.
    """
    from reprolib.site import build, serve, swap

    if action != "publish" and names:
        raise click.UsageError(f"{action} takes no chapter names: it is about the whole book")
    if action == "publish":
        build.publish(names)
    elif action == "serve":
        serve.serve(build.BUILD / "html")
    elif action == "pdf":
        from reprolib.site import pdf

        html = build.BUILD / "html"
        with swap.alone(html):
            print(f"The book as a PDF: {pdf.write_pdf(html, pdf.contents(build.ROOT / '_toc.yml'))}")
            pdf.offer(html, "book/index")
    else:
        build.build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
