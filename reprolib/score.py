"""The scores that a record keeps of a trained network (Sec. 4), with the protocol that gave them.

Two figures stand side by side for each metric. The challenge takes the best over ten thresholds *on the scored images*:
an oracle. Honest use must fix the threshold first: here on the training images, predicted by the same network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from reprolib import data, evaluate, metrics
from reprolib.data import Dataset
from reprolib.experiment import Experiment, held_out_indices, training_indices
from reprolib.metrics import Result
from reprolib.sources import TEST_LABELS_SHA256, TEST_ROWS
from reprolib.tiling import SEVEN_ROTATIONS

Report = Callable[[str], None]


def score(
    experiment: Experiment,
    model: nn.Module,
    dataset: Dataset,
    report: Callable[[str], None] | None = None,
    rotations: bool = False,
) -> dict:
    """Predict and score the held-out images, with a threshold fixed on the training images beside the oracle's.

    EM slices get the five figures of the ISBI 2012 challenge, all other data sets SEG and the foreground IoU.

    Args:
        rotations: score also the mean prediction over 7 rotated versions of each held-out image (Table 1); its fixed
            threshold is that of the training images *without* rotations.

    Returns:
        A dict fit for JSON: "training" (score and threshold); where images are held out "held_out" (per metric: score,
        threshold, rows), "at_training_threshold" (per metric one figure), "edge" and "interior" (the same two figures
        for images next to a training image, and for the others; EM only), "images" (per image: name, edge, and each
        metric at the oracle's threshold of the whole fold), of cells also "cells" and "watershed" (`cell_scores`,
        `watershed_scores`); "rotated", if asked for: angles (degrees), "held_out", "at_training_threshold" and
        "images" again; and, if the experiment asks for it, "test" or "silver" (`test_slices`, `silver`).
    """
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)

    def predicted(indices: Sequence[int], angles: Sequence[float] = (0.0,)) -> np.ndarray:
        images = dataset.images[list(indices)]
        return evaluate.predict_as_trained(experiment, model, images, report, angles)

    def evaluated(indices: Sequence[int], probability: np.ndarray) -> dict[str, Result]:
        return evaluate.evaluate(dataset, indices, probability, experiment.connectivity)

    fixed = evaluated(training, predicted(training))
    thresholds = {name: result.threshold for name, result in fixed.items()}
    scores: dict = {
        "training": {name: {"score": result.score, "threshold": result.threshold} for name, result in fixed.items()}
    }
    if held_out:
        probability = predicted(held_out)
        found = evaluated(held_out, probability)
        scores["held_out"] = {name: evaluate.plain(result) for name, result in found.items()}
        scores["at_training_threshold"] = _at(found, thresholds)
        edge = [index + 1 in training or index - 1 in training for index in held_out]
        for name, wanted in (("edge", True), ("interior", False)):
            where = [position for position, at_edge in enumerate(edge) if at_edge == wanted]
            if where and dataset.name in evaluate.EM:
                part = evaluated([held_out[position] for position in where], probability[where])
                scores[name] = {
                    "images": [dataset.names[held_out[position]] for position in where],
                    "score": {metric: result.score for metric, result in part.items()},
                    "at_training_threshold": _at(part, thresholds),
                }
        names = [dataset.names[index] for index in held_out]
        images = zip(_by_image(names, found), edge, strict=True)
        scores["images"] = [image | {"edge": at_edge} for image, at_edge in images]
        if dataset.name not in evaluate.EM:
            gold, ignore = dataset.instances[list(held_out)], dataset.ignore[list(held_out)]
            smallest = evaluate.SMALLEST.get(dataset.name, 0)
            scores["cells"] = evaluate.cell_scores(names, gold, probability, ignore, smallest, experiment.connectivity)
            scores["watershed"] = evaluate.watershed_scores(names, gold, probability, ignore, smallest)
        if rotations:
            found = evaluated(held_out, predicted(held_out, SEVEN_ROTATIONS))
            scores["rotated"] = {
                "angles": list(SEVEN_ROTATIONS),
                "held_out": {name: evaluate.plain(result) for name, result in found.items()},
                "at_training_threshold": _at(found, thresholds),
                "images": _by_image(names, found),
            }
    if experiment.test and dataset.name == "isbi2012":
        scores["test"] = test_slices(experiment, model, report, rotations)
    elif experiment.test:
        scores["silver"] = silver(experiment, model, report)
    return scores


def curve_point(experiment: Experiment, model: nn.Module, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Scores of a network in training, of up to three training and three held-out images, at the threshold 0.5."""
    parts = {"training": training_indices(experiment, dataset), "held_out": held_out_indices(experiment, dataset)}
    point = {}
    for name, indices in parts.items():
        if indices:
            few = [indices[k] for k in sorted({0, len(indices) // 2, len(indices) - 1})]
            probability = evaluate.predict_cells(model, dataset.images[few], scale=experiment.scale)
            found = evaluate.evaluate(dataset, few, probability, experiment.connectivity, (0.5,))
            point[name] = {metric: float(f"{result.score:.6g}") for metric, result in found.items()}
    return point


def second_test(experiment: Experiment) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the second test: ISBI 2012's test slices, or a held-out video with its silver truth.

    Raises:
        ValueError: unless the data set is published and, of a video, split=fold.
        reprolib.data.MissingData: if images or labels are not here.
    """
    if experiment.data == "isbi2012":
        return data.frames("isbi2012", "test-volume.tif"), data.test_labels()
    if experiment.split != "fold":
        raise ValueError(
            f"silver truth scores a whole video that is held out (split=fold), not split={experiment.split}"
        )
    images = data.frames(experiment.data, f"{experiment.fold:02d}")
    return images, data.silver_truth(experiment.data, experiment.fold)


def test_slices(
    experiment: Experiment, model: nn.Module, report: Report | None = None, rotations: bool = False
) -> dict:
    """The figures of Table 1 on the paper's own test slices: ISBI 2012, 30 slices, rows 66 to 511 of each.

    The network sees the whole slice; only the rows whose labels are complete are scored. The threshold as the
    challenge takes it, the best of ten on the scored slices; every threshold's row is kept, so that others can be read.

    Returns:
        "rows" (first, last + 1), "labels" (their SHA-256), "straight" and, with ``rotations``, "rotated" (the mean over
        7 rotated versions): per metric score, threshold and rows; "images": per slice each metric at that threshold.

    Raises:
        reprolib.data.MissingData: if the test slices or their labels are not here.
    """
    images, labels = second_test(experiment)
    found: dict = {"rows": list(TEST_ROWS), "labels": TEST_LABELS_SHA256}
    views = {"straight": (0.0,)} | ({"rotated": SEVEN_ROTATIONS} if rotations else {})
    for name, angles in views.items():
        probability = evaluate.predict_as_trained(experiment, model, images, report, angles)[:, slice(*TEST_ROWS)]
        result = metrics.evaluate_stack(labels, np.ascontiguousarray(probability))
        names = [f"test slice {index:02d}" for index in range(len(images))]
        found[name] = {metric: evaluate.plain(one) for metric, one in result.items()}
        found[name]["images"] = _by_image(names, result)
    return found


def silver(experiment: Experiment, model: nn.Module, report: Report | None = None) -> dict:
    """All frames of a video that took no part in training, against the challenge's later silver truth.

    Returns:
        Per metric score, threshold and rows, as "held_out" has them; and "watershed" (`evaluate.watershed_scores`).

    Raises:
        ValueError: unless the experiment holds out a whole video.
        reprolib.data.MissingData: if the silver truth is not here.
    """
    images, truth = second_test(experiment)
    probability = evaluate.predict_as_trained(experiment, model, images, report)
    names = [f"{experiment.fold:02d}/t{number:03d}" for number in range(len(images))]
    every, smallest = np.zeros(truth.shape, bool), evaluate.SMALLEST[experiment.data]
    found = evaluate.evaluate_cells(names, truth, probability, every, smallest, experiment.connectivity)
    scores = {metric: evaluate.plain(result) for metric, result in found.items()}
    return scores | {"watershed": evaluate.watershed_scores(names, truth, probability, every, smallest)}


def _by_image(names: Sequence[str], found: dict[str, Result]) -> list[dict]:
    """Each image's own figures, at the best threshold of all together."""
    columns = {
        metric: result.per_slice[[row["threshold"] for row in result.rows].index(result.threshold)]
        for metric, result in found.items()
    }
    return [
        {"name": name} | {metric: float(column[position]) for metric, column in columns.items()}
        for position, name in enumerate(names)
    ]


def _at(found: dict[str, Result], thresholds: dict[str, float]) -> dict[str, float]:
    """Each metric's pooled figure at a given threshold instead of the best one."""
    figures = {}
    for name, result in found.items():
        row = next(row for row in result.rows if row["threshold"] == thresholds[name])
        figures[name] = evaluate.FIGURES[name](row)
    return figures
