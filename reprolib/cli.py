"""The command line: ``reprolib data | train | plan | run | verify | predict | export | score``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import time
from pathlib import Path

USER_MISTAKES = (ValueError, OSError, RuntimeError, LookupError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check failed, 2 a mistake (told in one sentence)."""
    options, rest = parser().parse_known_args(arguments)
    if any(word.startswith("-") or "=" not in word for word in rest) or (rest and not hasattr(options, "fields")):
        parser().error(f"unrecognised: {' '.join(rest)}")
    if rest:
        options.fields += rest  # argparse takes fields that stand after an option for something else
    try:
        return options.command(options)
    except USER_MISTAKES as error:
        print(f"reprolib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("reprolib: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The commands, their options and their help."""
    top = argparse.ArgumentParser(prog="reprolib", description="U-Net (Ronneberger, Fischer, Brox, 2015), reproduced.")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    sub = commands.add_parser("data", help="fetch the data sets, or verify those that are here")
    sub.add_argument("action", choices=("fetch", "verify"), help="download into the cache, or compare pixel hashes")
    sub.add_argument("names", nargs="*", metavar="NAME", help="isbi2012, phc-u373, dic-hela (default: all three)")
    sub.set_defaults(command=data_command)

    sub = commands.add_parser(
        "train",
        help="train an experiment and record it",
        description="Train an experiment, score it on the images held out, and record it. Fields are set as "
        "name=value; what is not set is as in the paper, or ours where it is silent. Interrupted, the same command "
        "goes on from there.",
        epilog=f"fields and their defaults: {field_help()}",
    )
    sub.add_argument("fields", nargs="*", metavar="NAME=VALUE", help="such as fold=5 width=16 optimiser=adam steps=500")
    sub.add_argument(
        "--images", type=Path, metavar="FOLDER", help="train on your own images: FOLDER/images, FOLDER/labels"
    )
    sub.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    sub.add_argument("--threads", type=int, default=0, help="processor threads (default: as many as PyTorch chooses)")
    sub.add_argument("--again", action="store_true", help="train even if the run is recorded already")
    sub.add_argument("--rotations", action="store_true", help="score the mean over 7 rotated versions too (Table 1)")
    sub.add_argument("--no-weights", action="store_true", help="keep the record alone, with the hash of the weights")
    sub.add_argument("--to", type=Path, help="folder for record and weights (default: runs in the cache folder)")
    sub.set_defaults(command=train_command)

    sub = commands.add_parser("run", help="execute a chapter with other parameters")
    sub.add_argument("chapter", type=Path, help="such as book/07_em.ipynb")
    sub.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="set a parameter")
    sub.add_argument("-o", "--output", type=Path, help="where the executed copy goes (default: NAME.out.ipynb here)")
    sub.add_argument("-l", "--list", action="store_true", help="only list the chapter's parameters")
    sub.set_defaults(command=run_command)

    sub = commands.add_parser("verify", help="recompute the published scores from recorded weights")
    sub.add_argument("--runs", type=Path, help="folder of records (default: the published ones)")
    sub.add_argument(
        "--replay", type=int, default=0, metavar="N", help="retrain each run's first N steps, compare losses"
    )
    sub.set_defaults(command=verify_command)

    sub = commands.add_parser("plan", help="list the runs of the book; train those that are missing")
    sub.add_argument("action", nargs="?", choices=("run",), help="train what is missing (default: list the plan)")
    sub.add_argument("--workers", type=int, default=2, metavar="N", help="runs at a time, a thread each (default: 2)")
    sub.add_argument("--hours", type=float, help="stop after so long; start no run that cannot finish by then")
    sub.add_argument("--resumable", action="store_true", help="start such a run all the same: its checkpoint stays")
    sub.add_argument("--only", default="", metavar="TEXT", help="the purposes whose names hold this text")
    sub.add_argument("--to", type=Path, help="folder for records and weights (default: runs of the project)")
    sub.set_defaults(command=plan_command)

    sub = commands.add_parser("predict", help="segment an image of one's own with a recorded network")
    sub.add_argument("record", type=Path, help="a run record (.json) with its weights beside it")
    sub.add_argument("image", type=Path, help="a grey image (TIFF, PNG ...)")
    sub.add_argument("output", type=Path, help="the probability of class 1 (cell) as an 8-bit image, 255 = certain")
    sub.add_argument("--tile", type=int, help="side of the input tile in px (default: as large as --memory allows)")
    sub.add_argument("--memory", type=float, default=1.0, metavar="GIB", help="for one tile's features (default: 1)")
    sub.add_argument("--fast", action="store_true", help="in bfloat16 where the processor computes in it")
    sub.add_argument("--cells", type=Path, help="write the cells too: 16-bit labels (.png or .tif), 0 = background")
    sub.add_argument("--threshold", type=float, help="of cells (default: fixed on the training images)")
    sub.add_argument("--smallest", type=int, default=0, metavar="PX", help="drop smaller cells (default: none)")
    sub.set_defaults(command=predict_command)

    sub = commands.add_parser("export", help="segment a challenge's images with recorded networks, in its own format")
    what = "isbi2012, phc-u373 or dic-hela for its published networks, or run records (.json) of one set, with weights"
    sub.add_argument("runs", nargs="+", help=what)
    sub.add_argument("--to", type=Path, required=True, help="TIFF file (EM test slices), or folder (cell videos)")
    sub.add_argument("--rotations", action="store_true", help="mean over 7 rotated versions of each image")
    sub.add_argument("--threshold", type=float, help="of cells (default: fixed on the training frames)")
    sub.set_defaults(command=export_command)

    sub = commands.add_parser("score", help="score results of any program as the closed challenges did")
    sub.add_argument("name", help="isbi2012, phc-u373 or dic-hela")
    what = "TIFF stack of the 30 EM test slices: probability of not membrane; or folder with 01_RES/mask000.tif ..."
    sub.add_argument("results", type=Path, help=what)
    sub.add_argument("--labels", type=Path, metavar="FILE", help="the archive's test-labels.tif (default: rows 66 on)")
    sub.add_argument("--invert", action="store_true", help="the stack holds the probability of membrane: score 1 - p")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the scores, at every threshold, to this file")
    sub.set_defaults(command=score_command)
    return top


def field_help() -> str:
    """All fields of an experiment with their defaults, on one line."""
    from reprolib.experiment import Experiment

    return ", ".join(f"{field.name}={field.default}" for field in dataclasses.fields(Experiment))


def experiment_from(words: list[str]):
    """The experiment that NAME=VALUE words describe.

    Raises:
        ValueError: on a word without "=", an unknown field, or a value of another type than the field's.
    """
    from reprolib.experiment import Experiment, check_names

    defaults = {field.name: field.default for field in dataclasses.fields(Experiment)}
    values = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r} is not of the form NAME=VALUE, such as steps=500")
        check_names({name: text})
        values[name] = parsed(name, text, type(defaults[name]))
    return Experiment(**values)


def parsed(name: str, text: str, kind: type):
    """A field's value from its text."""
    if kind is bool:
        truth = {"true": True, "false": False}
        if text.lower() not in truth:
            raise ValueError(f"{name} must be true or false, not {text!r}")
        return truth[text.lower()]
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name} must be of type {kind.__name__}, not {text!r}") from None


def data_command(options) -> int:
    from reprolib import data

    names = options.names or data.REAL
    if options.action == "fetch":
        for name in names:
            print(f"{name}: {data.download(name)}")
        return 0
    good = True
    for name in names:
        for row in data.verify(name):
            print(
                f"{name} {row.file}: {'as published' if row.ok else f'differs: {row.found}, expected {row.expected}'}"
            )
            good &= row.ok
    return 0 if good else 1


def train_command(options) -> int:
    import torch

    from reprolib import data, records, train

    def say(line: str) -> None:
        print(line, flush=True)

    if options.threads < 0:
        raise ValueError(f"threads must be 1 or more, not {options.threads}")
    if options.threads:
        torch.set_num_threads(options.threads)
    experiment, dataset = experiment_from(options.fields), None
    if options.images:
        dataset = data.load_folder(options.images)
        # The name holds the pixels' hash: other images under the same folder name are another experiment.
        name = f"{dataset.name}-{dataset.hashes['images'][:8]}{dataset.hashes['labels'][:8]}"
        dataset = dataclasses.replace(dataset, name=name)
        experiment = experiment.replace(data=name)
    known = records.find(experiment, (options.to,) if options.to else None)
    if known and not options.again:
        if options.rotations and "rotated" not in known["scores"]:
            known = train.add_rotations(known, report=say)
        print(f"recorded already: {known['path']} (--again trains it anew)")
        return 0

    train.train(
        experiment,
        device=options.device,
        report=say,
        folder=options.to,
        dataset=dataset,
        keep_weights=not options.no_weights,
        rotations=options.rotations,
    )
    return 0


def run_command(options) -> int:
    from reprolib import chapters

    if options.list:
        for parameter in chapters.parameters(options.chapter).values():
            print(f"{parameter.name}: {parameter.type} = {parameter.default!r}  {parameter.help}")
        return 0
    output = options.output or Path.cwd() / f"{options.chapter.stem}.out.ipynb"
    done = chapters.run(options.chapter, output, dict(options.p))
    print(f"{output}: executed in {done.seconds:.0f} s")
    return 0


def verify_command(options) -> int:
    from reprolib import verify

    if options.replay < 0:
        raise ValueError(f"--replay takes the number of steps, 0 or more, not {options.replay}")
    checks = verify.verify(options.runs, options.replay, report=lambda line: print(line, file=sys.stderr, flush=True))
    for check in checks:
        print(f"{ {True: 'equal    ', False: 'DIFFERENT', None: 'unchecked'}[check.ok] } {check.record}  {check.what}")
    good, bad = sum(c.ok is True for c in checks), sum(c.ok is False for c in checks)
    print(f"{good} equal, {bad} different, {sum(c.ok is None for c in checks)} not checked")
    if bad:
        return 1
    return 0 if good else 2


def plan_command(options) -> int:
    from reprolib import plan, records

    if options.action is None:
        print(plan.text((options.to, records.PUBLISHED) if options.to else None))
        return 0
    from reprolib import runner

    def say(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its runs end with it
    failed = runner.run(options.workers, options.hours, options.to, options.resumable, options.only, say)
    return 1 if failed else 0


def predict_command(options) -> int:
    from reprolib import export, large, machine, records, train
    from reprolib.experiment import Experiment

    if options.cells is None and (options.threshold is not None or options.smallest):
        raise ValueError("threshold and smallest are about cells: say where to write them, --cells FILE")
    if options.cells and options.cells.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise ValueError(f"{options.cells} must end in .png or .tif: labels are kept without loss")
    if options.cells and options.cells.resolve() in (options.output.resolve(), options.image.resolve()):
        raise ValueError(f"{options.cells} is the image or its probability: give the cells a file of their own")
    run = records.read(options.record)
    experiment = Experiment.from_dict(run["experiment"])
    threshold = export.cells_threshold(run) if options.threshold is None else options.threshold
    if not 0 <= threshold <= 1 or options.smallest < 0:
        raise ValueError(f"threshold must be in [0, 1], not {threshold}, and smallest 0 px or more")
    model = train.network(run)
    reduced = options.fast and machine.number_format(next(model.parameters()).device) == "bfloat16"
    if options.fast and not reduced:
        print("this processor does not compute in bfloat16: --fast changes nothing", file=sys.stderr)
    height, width = large.predict_file(
        model,
        options.image,
        options.output,
        tile=options.tile,
        memory=options.memory * large.GIBIBYTE,
        report=lambda line: print(line, file=sys.stderr, flush=True),
        reduced=reduced,
        flips=experiment.mean_of_flips,
        scale=experiment.scale,
    )
    print(f"{options.output}: probability of class 1, {height} x {width} px")
    if options.cells:
        count = export.cells(options.output, options.cells, threshold, options.smallest, experiment.connectivity)
        print(f"{options.cells}: {count} cells, above the probability {threshold:g}")
    return 0


def export_command(options) -> int:
    from reprolib import catalogue, data, export, records

    runs = []
    for word in options.runs:
        runs += catalogue.headline(word) if word in data.REAL else [records.read(Path(word))]
    done = export.export(
        runs, options.to, options.rotations, options.threshold, lambda line: print(line, file=sys.stderr, flush=True)
    )
    print(done)
    return 0


def score_command(options) -> int:
    from reprolib import challenge
    from reprolib.files import write_text

    lines, kept = challenge.report(options.name, options.results, options.labels, options.invert)
    print("\n".join(lines))
    if options.json:
        write_text(options.json, json.dumps(kept, indent=1) + "\n")
        print(f"{options.json}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
