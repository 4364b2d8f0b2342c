"""Do the published scores still come out? Recompute them from recorded weights and real data, and compare.

A record whose weights are kept is recomputed whole. Of any record, the first steps of the training can be replayed,
and their losses compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from reprolib import data, train
from reprolib.data.dataset import OWN
from reprolib.errors import InputError, MissingData, ReprolibError
from reprolib.evaluation import score
from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.scores import Curve, ImageScore, Scores
from reprolib.own.folder import find_own
from reprolib.progress import Report
from reprolib.runs import machine, records
from reprolib.runs.records import Record, Stretch

REPLAY_TOLERANCE = 0.02  # relative; for another processor, thread count or number format than the record's


@dataclass(frozen=True)
class Check:
    """The outcome for one record: what was compared, and ``ok`` True, False, or None if it could not be checked."""

    record: str
    what: str
    ok: bool | None


def verify(folder: Path | None = None, replay: int = 0, report: Report | None = None) -> list[Check]:
    """Check every record in ``folder`` (default: the published ones).

    Args:
        folder: where records and weights lie.
        replay: train the first so many steps of each record again and compare the losses; 0 = recompute scores only.
        report: called with a line of progress.

    Returns:
        At least one Check per record, in the order of their names; one that failed for a record that is damaged.

    Raises:
        InputError: if ``replay`` is negative.
        FileNotFoundError: if there is no record in the folder.
    """
    if replay < 0:
        raise InputError(f"replay must be 0 or more, not {replay}")
    folder = folder or records.PUBLISHED
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"there is no run record in {folder}: nothing to verify")
    checks: list[Check] = []
    for path in paths:
        if report:
            report(f"checking {path.stem}")
        try:
            record = records.read(path)
            if path.stem != record.experiment.name:
                told = f"{path} is about another experiment than its name says, {record.experiment.name}"
                checks.append(Check(path.stem, told, False))
                continue
            own, place = record.experiment.data.startswith(OWN), find_own(record.experiment.data)
            if own and not place:
                checks.append(Check(path.stem, "not checked: it is about one's own images, not a published set", None))
                continue
            dataset = place[1] if place else data.load(record.experiment.data)
            checks += replay_losses(record, dataset, replay) if replay else recompute(record, dataset)
        except MissingData as error:
            checks.append(Check(path.stem, f"not checked: {error}", None))
        except (ReprolibError, OSError) as error:
            checks.append(Check(path.stem, str(error), False))
    return checks


def recompute(record: Record, dataset: data.Dataset) -> list[Check]:
    """Scores of the record's stored weights on the data, compared with the recorded ones.

    A record without weights is only checked for its data and its experiment's key.

    Raises:
        InputError, OSError: if the weights are damaged, or not the recorded ones.
    """
    name = record.path.stem
    if record.data != dataset.hashes:
        return [Check(name, "the data's hashes differ from the recorded ones", False)]
    if not record.weights_path.exists():
        if record.weights.kept:
            return [Check(name, f"the weights {record.weights_path.name} are missing", False)]
        return [Check(name, f"not recomputed: its weights are not kept; train again: {command(record)}", None)]
    known = printed_figures(record.scores)
    scores = score.score(record.experiment, train.network(record), dataset, rotations=record.rotated)
    recomputed = printed_figures(scores)
    if not record.scores.watershed:  # records of the first edition have none
        recomputed = {what: value for what, value in recomputed.items() if not what.startswith("watershed")}
    if known.keys() != recomputed.keys():
        return [Check(name, f"other scores than recorded: {sorted(known.keys() ^ recomputed.keys())}", False)]
    return [compare_scores(name, what, known[what], recomputed[what]) for what in known]


def compare_scores(name: str, what: str, known: float, recomputed: float) -> Check:
    """One score against the record: equal if nearer than half a unit of the last digit that the book prints."""
    metric = METRICS.get(what.rsplit(" ", 1)[-1])
    digits = metric.digits if metric else 0  # of a number of objects
    if abs(known - recomputed) <= 0.5 * 10**-digits:
        return Check(name, f"{what}: {recomputed:.{digits}f}, equal to the printed digits", True)
    return Check(
        name, f"{what}: {recomputed:.{digits}f}, recorded {known:.{digits}f}, off by {recomputed - known:+.2g}", False
    )


def printed_figures(scores: Scores) -> dict[str, float]:
    """The printed figures of a record's scores by name: "held_out pixel_error", "slice 24 v_rand" ..."""

    def of_curves(what: str, curves: Mapping[str, Curve]) -> dict[str, float]:
        return {f"{what} {metric}": curve.score for metric, curve in curves.items()}

    def of_images(what: str, images: Iterable[ImageScore]) -> dict[str, float]:
        return {f"{what}{one.name} {metric}": value for one in images for metric, value in one.figures.items()}

    figures = {f"training {metric}": one.score for metric, one in scores.training.items()}
    held_out = scores.held_out or {}
    figures |= of_curves("held_out", held_out)
    figures |= {f"at 0.5 {m}": METRICS[m].figure(curve.row(0.5)) for m, curve in held_out.items()}
    figures |= {f"at_training_threshold {metric}": v for metric, v in (scores.at_training_threshold or {}).items()}
    for name, part in (("edge", scores.edge), ("interior", scores.interior)):
        if part:
            figures |= {f"{name} {metric}": value for metric, value in part.score.items()}
    figures |= of_images("", scores.images)
    for one in scores.watershed:
        figures[f"watershed {one.seed}, {one.threshold:.1f} seg"] = one.seg
    if rotated := scores.rotated:
        figures |= of_curves("rotated held_out", rotated.held_out)
        figures |= {f"rotated at 0.5 {m}": METRICS[m].figure(curve.row(0.5)) for m, curve in rotated.held_out.items()}
        fixed = rotated.at_training_threshold.items()
        figures |= {f"rotated at_training_threshold {metric}": value for metric, value in fixed}
        figures |= of_images("rotated ", rotated.images)
    if test := scores.test:
        figures |= of_curves("test slices, straight", test.straight.curves)
        if test.rotated:
            figures |= of_curves("test slices, rotated", test.rotated.curves)
    if found := scores.detection:
        for what, counts in (("held out", found.counts), ("Otsu", found.otsu), ("Otsu parted", found.otsu_watershed)):
            if counts:
                figures |= {f"{what} objects {name}": number for name, number in asdict(counts).items()}
    if scores.silver:
        figures |= of_curves("silver truth", scores.silver.curves)
    return figures


def replay_losses(record: Record, dataset: data.Dataset, steps: int) -> list[Check]:
    """Train the record's first ``steps`` steps again, with the thread count of its beginning, and compare the losses.

    On the same kind of machine they must agree to every recorded digit, elsewhere within 2 %.
    """
    stretch = next(iter(record.before), Stretch(len(record.loss), record.environment))
    known = stretch.environment
    steps = min(steps, len(record.loss))
    threads = torch.get_num_threads()
    torch.set_num_threads(known.threads)
    try:
        device = machine.choose_device("auto" if known.device == "cuda" else "cpu")
        losses = train.run_steps(record.experiment, dataset, device, steps).losses
        here = machine.environment(device)
    finally:
        torch.set_num_threads(threads)
    differences = [abs(a - b) / max(abs(a), 1e-12) for a, b in zip(record.loss[:steps], losses, strict=True)]
    alike = steps <= stretch.until and replace(here, code="", python="") == replace(known, code="", python="")
    tolerance = 1e-6 if alike else REPLAY_TOLERANCE
    kind = "the same kind of machine" if alike else "another kind of machine"
    what = f"losses of {steps} replayed steps, on {kind}: largest relative difference {max(differences):.1e}"
    return [Check(record.path.stem, what, all(difference <= tolerance for difference in differences))]  # NaN is none


def command(record: Record) -> str:
    """The command that trains a record's experiment again."""
    return " ".join(["reprolib train", *(f"{name}={v}" for name, v in record.experiment.departures().items())])


def lines(checks: Sequence[Check]) -> list[str]:
    """The checks for print, a line each; then how many came out how."""
    words = {True: "equal    ", False: "FAILED   ", None: "unchecked"}
    counts = Counter(check.ok for check in checks)
    summary = f"{counts[True]} equal, {counts[False]} failed, {counts[None]} not checked"
    return [*(f"{words[check.ok]} {check.record}  {check.what}" for check in checks), summary]
