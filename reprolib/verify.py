"""Do the published scores still come out? Recompute them from recorded weights and real data, and compare.

A record whose weights are kept is recomputed whole. Of any record, the first steps of the training can be replayed,
and their losses compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from reprolib import data, evaluate, machine, records, score, train
from reprolib.experiment import Experiment

REPLAY_TOLERANCE = 0.02  # relative; for another processor, thread count or number format than the record's


@dataclass(frozen=True)
class Check:
    """The outcome for one record: what was compared, and ``ok`` True, False, or None if it could not be checked."""

    record: str
    what: str
    ok: bool | None


def verify(folder: Path | None = None, replay: int = 0, report: Callable[[str], None] | None = None) -> list[Check]:
    """Check every record in ``folder`` (default: the published ones).

    Args:
        folder: where records and weights lie.
        replay: train the first so many steps of each record again and compare the losses; 0 = recompute scores only.
        report: called with a line of progress.

    Returns:
        At least one Check per record, in the order of their names.

    Raises:
        FileNotFoundError: if there is no record in the folder.
    """
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
            if record["experiment"]["data"].startswith("own-"):
                checks.append(Check(path.stem, "not checked: it is about one's own images, not a published set", None))
                continue
            dataset = data.load(record["experiment"]["data"])
            checks += replay_losses(record, dataset, replay) if replay else recompute(record, dataset)
        except data.MissingData as error:
            checks.append(Check(path.stem, f"not checked: {error}", None))
        except (ValueError, OSError) as error:
            checks.append(Check(path.stem, str(error), False))
    return checks


def recompute(record: dict, dataset: data.Dataset) -> list[Check]:
    """Scores of the record's stored weights on the data, compared with the recorded ones.

    A record without weights is only checked for its data and its experiment's key.

    Raises:
        ValueError, OSError: if the weights are damaged, or not the recorded ones.
    """
    name = record["path"].stem
    if record["data"] != dataset.hashes:
        return [Check(name, "the data's hashes differ from the recorded ones", False)]
    if not records.weights_path(record).exists():
        if record["weights"]["kept"]:
            return [Check(name, f"the weights {records.weights_path(record).name} are missing", False)]
        return [Check(name, f"not recomputed: its weights are not kept; train again: {command(record)}", None)]
    experiment, model = Experiment.from_dict(record["experiment"]), train.network(record)
    known = figures(record["scores"])
    rotated = any("rotated" in part for part in known)
    found = figures(score.score(experiment, model, dataset, rotations=rotated))
    if "watershed" not in record["scores"]:  # records of the first edition have none
        found = {what: value for what, value in found.items() if not what.startswith("watershed")}
    if known.keys() != found.keys():
        return [Check(name, f"other scores than recorded: {sorted(known.keys() ^ found.keys())}", False)]
    return [compare(name, what, known[what], found[what]) for what in known]


def compare(name: str, what: str, known: float, found: float) -> Check:
    """One score against the record: equal if nearer than half a unit of the last digit that the book prints."""
    decimals = evaluate.DIGITS[what.rsplit(" ", 1)[-1]]
    same = abs(known - found) <= 0.5 * 10**-decimals
    if same:
        return Check(name, f"{what}: {found:.{decimals}f}, equal to the printed digits", True)
    return Check(
        name, f"{what}: {found:.{decimals}f}, recorded {known:.{decimals}f}, off by {found - known:+.2g}", False
    )


def figures(scores: dict) -> dict[str, float]:
    """The printed figures of a record's scores by name: "held_out pixel_error", "slice 24 v_rand" ..."""
    found = {f"training {metric}": part["score"] for metric, part in scores.get("training", {}).items()}
    held_out = scores.get("held_out", {})
    found |= {f"held_out {metric}": part["score"] for metric, part in held_out.items()}
    found |= {f"at 0.5 {metric}": evaluate.figure_at(part, metric, 0.5) for metric, part in held_out.items()}
    found |= {
        f"at_training_threshold {metric}": value for metric, value in scores.get("at_training_threshold", {}).items()
    }
    for part in ("edge", "interior"):
        if part in scores:
            found |= {f"{part} {metric}": value for metric, value in scores[part]["score"].items()}
    for image in scores.get("images", []):
        found |= {f"{image['name']} {metric}": image[metric] for metric in held_out}
    for row in scores.get("watershed", []):
        found[f"watershed {row['seed']}, {row['threshold']:.1f} seg"] = row["seg"]
    if "rotated" in scores:
        found |= {f"rotated {what}": value for what, value in figures(scores["rotated"]).items()}
    for view in ("straight", "rotated"):
        for metric, part in scores.get("test", {}).get(view, {}).items():
            if metric != "images":
                found[f"test slices, {view} {metric}"] = part["score"]
    for metric in ("seg", "foreground_iou"):
        if metric in scores.get("silver", {}):
            found[f"silver truth {metric}"] = scores["silver"][metric]["score"]
    return found


def replay_losses(record: dict, dataset: data.Dataset, steps: int) -> list[Check]:
    """Train the record's first ``steps`` steps again, with its thread count, and compare the losses.

    On the same kind of machine they must agree to every recorded digit, elsewhere within 2 %.
    """
    experiment, known = Experiment.from_dict(record["experiment"]), record["environment"]
    steps = min(steps, len(record["loss"]))
    threads = torch.get_num_threads()
    torch.set_num_threads(known["threads"])
    try:
        device = machine.choose_device("auto" if known["device"] == "cuda" else "cpu")
        losses = train.run_steps(experiment, dataset, device, steps).losses
        here = records.environment(device, machine.number_format(device))
    finally:
        torch.set_num_threads(threads)
    differences = [abs(a - b) / abs(a) for a, b in zip(record["loss"], losses, strict=False)]
    alike = all(
        here[k] == known[k] for k in ("processor", "instructions", "threads", "device", "number_format", "libraries")
    )
    tolerance = 1e-6 if alike else REPLAY_TOLERANCE
    kind = "the same kind of machine" if alike else "another kind of machine"
    what = f"losses of {steps} replayed steps, on {kind}: largest relative difference {max(differences):.1e}"
    return [Check(record["path"].stem, what, max(differences) <= tolerance)]


def command(record: dict) -> str:
    """The command that trains a record's experiment again."""
    departures = Experiment.from_dict(record["experiment"]).departures()
    return "reprolib train " + " ".join(f"{name}={value}" for name, value in departures.items())
