"""Train from the command line: a published set, or images of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import nn

from reprolib.data.dataset import Dataset
from reprolib.errors import InputError
from reprolib.evaluation.ctc import instances
from reprolib.evaluation.detection import Detection
from reprolib.evaluation.prediction import predict_as_trained, predict_classes
from reprolib.experiment import Experiment
from reprolib.files import cache_folder, check_room
from reprolib.own.classes import class_summary, save_coloured, write_class_report
from reprolib.own.folder import named_folder
from reprolib.own.learning import advice, learning_curve
from reprolib.own.overlay import save_overlay
from reprolib.own.recipe import recipe
from reprolib.own.report import write_report
from reprolib.runs import processes, records
from reprolib.runs.leftovers import remove_recorded
from reprolib.runs.machine import choose_device, set_threads
from reprolib.runs.records import Record
from reprolib.runs.weights import keep_start
from reprolib.splits import held_out_indices
from reprolib.train import Look, add_rotations
from reprolib.train import train as train_experiment


def train(
    fields: Mapping[str, object],
    images: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    again: bool = False,
    rotations: bool = False,
    keep_weights: bool = True,
    folder: Path | None = None,
    minutes: float = 15.0,
    start: Path | None = None,
    ignore: int | None = None,
    more_data: bool = False,
    task: str = "objects",
    resume_anyway: bool = False,
    wait: bool = False,
) -> Record | None:
    """Train and record an experiment unless it is recorded already; then that record is returned.

    Of several processes the first decides, and it alone records and reports.

    Args:
        fields: of the experiment, see `Experiment`.
        images: a folder of images of one's own, see `load_folder`; the experiment is then about these, and what
            ``fields`` leave open is chosen by `recipe`, the steps by ``minutes``.
        threads: of the processor; 0 leaves the choice to PyTorch.
        again: train even if it is recorded.
        ignore: the number of labels of one's own where nobody has looked.
        task: "objects" or "classes", see `folder.read_folder`.
        more_data: train on a quarter and on half of the images too, and say whether more would help.
        start: a record whose weights the training starts from, and whose kind of network it takes over.
        device, rotations, keep_weights, folder, resume_anyway, wait: as for `reprolib.train.train`. Rotations are
            added to a record.

    Raises:
        InputError: if a value is out of range, and as `load_folder`, `recipe` and `reprolib.train.train`.
    """
    set_threads(threads)
    check_room(folder or cache_folder() / "runs")
    if processes.count() > 1 and (more_data or wait):
        name = "--more-data" if more_data else "--wait"
        raise InputError(f"{name} is for one process: leave it out with several")
    fields = {**(starting_from(start) if start else {}), **fields}
    dataset = named_folder(images, str(fields.get("channels", "")), ignore, task) if images else None
    if dataset and dataset.classes and more_data:
        raise InputError("--more-data compares objects: leave it out with --task classes")
    places = (folder,) if folder else None
    with processes.together(choose_device(device)):
        experiment = recipe(dataset, minutes, fields, device) if dataset else Experiment(**fields)
        record = processes.from_first(lambda: None if again else records.find(experiment, places))
    known = record is not None
    if processes.number() > 0:
        if not known:
            train_experiment(experiment, device, None, folder, dataset)
        return None
    if dataset:
        shown = " ".join(f"{name}={value}" for name, value in experiment.departures().items() if name != "data")
        print(f"{len(dataset.images)} images; {shown}", flush=True)
    train_here = partial(
        train_experiment,
        device=device,
        report=print,
        folder=folder,
        dataset=dataset,
        resume_anyway=resume_anyway,
        wait=wait,
    )
    if record:
        remove_recorded(folder or cache_folder() / "runs")
        if rotations and not record.rotated:
            record = add_rotations(record, print, dataset)
    else:
        drawn = (folder or cache_folder() / "runs") / f"{experiment.name}.png"
        look = first_look(experiment, dataset, drawn) if dataset else None
        record = train_here(experiment, keep_weights=keep_weights, rotations=rotations, look=look)
    if not dataset:
        return record if known else None
    page = record.path.with_suffix(".html")
    told = known and page.exists()  # a training that was killed over its page is told of the next time
    if record.scores.classes and record.weights.kept and not told:
        write_class_report(record, dataset, page)
        print(f"{class_summary(record.scores.classes)}\nreport: {page}")
    if record.scores.detection and record.weights.kept and (more_data or not told):

        def obtain(fewer: Experiment) -> Record:
            print(f"now with {fewer.images} training images", flush=True)
            return records.find(fewer, places) or train_here(fewer, keep_weights=False)

        curve = learning_curve(record, dataset, obtain) if more_data else []
        write_report(record, dataset, page, curve)
        print("\n".join([summary(record.scores.detection), *([advice(curve)] if curve else []), f"report: {page}"]))
    return record if known else None


def first_look(experiment: Experiment, dataset: Dataset, path: Path) -> Look:
    """What draws a held-out image with the objects that a network in training finds at the threshold 0.5."""
    index = held_out_indices(experiment, dataset)[0]
    image = dataset.image(index)

    def look(model: nn.Module, step: int) -> None:
        if not path.exists():
            print(f"{path} shows {dataset.names[index]}, held out, as found after step {step}; renewed each minute")
        if experiment.classes:
            save_coloured(path, image, predict_classes(experiment, model, image))
            return
        probability = predict_as_trained(experiment, model, [image])[0]
        save_overlay(path, image, instances(probability, 0.5, connectivity=experiment.connectivity))

    return look


# What a network takes over from the one that it starts from.
STARTED = ("variant", "width", "skips", "padding", "channels", "normalisation", "classes")


def starting_from(path: Path) -> dict[str, object]:
    """The fields of an experiment that starts from a recorded run: its weights, and what its network is.

    Raises:
        InputError, FileNotFoundError: if it is no record, or its weights are not there.
    """
    record = records.read(path)
    network = {name: getattr(record.experiment, name) for name in STARTED}
    return network | {"start": keep_start(record.weights_path, record.weights.sha256)}


def summary(chosen: Detection) -> str:
    """What was found on held-out images, in a sentence."""
    counts = chosen.counts
    return (
        f"held out: F1 {counts.f1:.2f} at IoU 0.5 (precision {counts.precision:.2f}, recall {counts.recall:.2f}; "
        f"{counts.found + counts.missed} objects); without a network, Otsu's threshold {chosen.otsu.f1:.2f}, "
        f"with a watershed {(chosen.otsu_watershed or chosen.otsu).f1:.2f}. Cells are "
        f"{chosen.settings}"
    )
