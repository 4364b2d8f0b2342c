"""The scores that a record keeps of a trained network (Sec. 4), with the protocol that gave them.

Two figures stand side by side for each metric. The challenge takes the best over ten thresholds *on the scored images*:
an oracle. Honest use must fix the threshold first: here on the training images, predicted by the same network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from reprolib import data
from reprolib.data import Dataset
from reprolib.data.dataset import OWN
from reprolib.data.sources import TEST_LABELS_SHA256, TEST_ROWS
from reprolib.errors import InputError
from reprolib.evaluation import isbi2012
from reprolib.evaluation.appearance import seen
from reprolib.evaluation.cells import SMALLEST, evaluate_cells, gold_cells, watershed_scores
from reprolib.evaluation.classes import ClassScores, class_scores
from reprolib.evaluation.detection import detection
from reprolib.evaluation.isbi2012 import Result
from reprolib.evaluation.metric import METRICS
from reprolib.evaluation.prediction import predict_as_trained, predict_cells, predict_classes
from reprolib.evaluation.scores import (
    AtThreshold,
    Curve,
    ImageScore,
    Part,
    Rotated,
    Scores,
    SilverScores,
    TestScores,
    TestView,
)
from reprolib.experiment import Experiment
from reprolib.progress import Report
from reprolib.splits import held_out_indices, training_indices
from reprolib.tiling import SEVEN_ROTATIONS

EM = ("isbi2012", "phantom-em")  # scored as the ISBI 2012 challenge does


def evaluate(
    dataset: Dataset,
    indices: Sequence[int],
    probability: np.ndarray,
    connectivity: int = 4,
    thresholds: Sequence[float] = isbi2012.THRESHOLDS,
) -> dict[str, Result]:
    """The metrics that fit a data set, of cell probabilities (N, H, W) for its images ``indices``."""
    instances, ignore = dataset.instances[list(indices)], dataset.ignore[list(indices)]
    if dataset.name in EM:
        return isbi2012.evaluate_stack((instances > 0).astype(np.uint8), probability, thresholds)
    names = [dataset.names[index] for index in indices]
    smallest = SMALLEST.get(dataset.name, 0)
    return evaluate_cells(names, instances, probability, ignore, smallest, connectivity, thresholds)


def score(
    experiment: Experiment,
    model: nn.Module,
    dataset: Dataset,
    report: Report | None = None,
    rotations: bool = False,
) -> Scores:
    """Predict and score the held-out images, with a threshold fixed on the training images beside the oracle's.

    EM slices get the five figures of the ISBI 2012 challenge, all other data sets SEG and the foreground IoU.

    Args:
        rotations: score also the mean prediction over 7 rotated versions of each held-out image (Table 1); its fixed
            threshold is that of the training images *without* rotations.
    """
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    if experiment.classes:
        parts = (of_classes(experiment, model, dataset, indices) for indices in (held_out, training))
        images = [dataset.image(index) for index in training]
        return Scores({}, classes=next(parts), training_classes=next(parts), seen=seen(images, []))

    def predicted(indices: Sequence[int], angles: Sequence[float] = (0.0,)) -> np.ndarray:
        images = [dataset.image(index) for index in indices]
        return fitted(predict_as_trained(experiment, model, images, report, angles), dataset)

    def evaluated(indices: Sequence[int], probability: np.ndarray) -> dict[str, Result]:
        return evaluate(dataset, indices, probability, experiment.connectivity)

    trained = predicted(training)
    at_training = {
        metric: AtThreshold(result.score, result.threshold) for metric, result in evaluated(training, trained).items()
    }
    fields: dict = {"training": at_training}
    if held_out:
        probability = predicted(held_out)
        results = evaluated(held_out, probability)
        names = [dataset.names[index] for index in held_out]
        edge = [index + 1 in training or index - 1 in training for index in held_out]
        fields |= {
            "held_out": curves(results),
            "at_training_threshold": _at(results, at_training),
            "images": _by_image(names, results, edge),
        }
        if dataset.name in EM:
            for name, wanted in (("edge", True), ("interior", False)):
                where = [position for position, at_edge in enumerate(edge) if at_edge == wanted]
                if where:
                    part = evaluated([held_out[position] for position in where], probability[where])
                    best = {metric: result.score for metric, result in part.items()}
                    fields[name] = Part(tuple(names[position] for position in where), best, _at(part, at_training))
        else:
            gold, ignore = dataset.instances[list(held_out)], dataset.ignore[list(held_out)]
            smallest = SMALLEST.get(dataset.name, 0)
            fields |= {
                "cells": gold_cells(names, gold, probability, ignore, smallest, experiment.connectivity),
                "watershed": watershed_scores(names, gold, probability, ignore, smallest),
            }
        if dataset.name.startswith(OWN):
            parts = [_parts(dataset, *part) for part in ((held_out, probability), (training, trained))]
            fields |= {"detection": detection(*parts[0], parts[1]), "seen": seen(parts[1][2], parts[1][0])}
        if rotations:
            results = evaluated(held_out, predicted(held_out, SEVEN_ROTATIONS))
            fields["rotated"] = Rotated(
                SEVEN_ROTATIONS, curves(results), _at(results, at_training), _by_image(names, results)
            )
    if experiment.test and dataset.name == "isbi2012":
        fields["test"] = test_slices(experiment, model, report, rotations)
    elif experiment.test:
        fields["silver"] = silver(experiment, model, report)
    return Scores(**fields)


def of_classes(
    experiment: Experiment, model: nn.Module, dataset: Dataset, indices: Sequence[int]
) -> ClassScores | None:
    """How the pixels of some images, each of one of several classes, are told apart; None of no images."""
    if not indices:
        return None
    found = [predict_classes(experiment, model, dataset.image(index)) for index in indices]
    truth, ignore = (
        [dataset.own_part(array[index], index) for index in indices] for array in (dataset.instances, dataset.ignore)
    )
    return class_scores(dataset.classes, truth, found, ignore)


def curve_point(experiment: Experiment, model: nn.Module, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Scores of a network in training at the threshold 0.5, of up to three "training" and three "held_out" images."""
    parts = {"training": training_indices(experiment, dataset), "held_out": held_out_indices(experiment, dataset)}
    point, options = {}, {"scale": experiment.scale, "normalisation": experiment.normalisation}  # no flips: quicker
    for name, indices in parts.items():
        if indices:
            few = [indices[k] for k in sorted({0, len(indices) // 2, len(indices) - 1})]
            if experiment.classes:
                point[name] = {"mean_iou": of_classes(experiment, model, dataset, few).mean_iou}
                continue
            images = [dataset.image(index) for index in few]
            probability = fitted(predict_cells(model, images, **options), dataset)
            results = evaluate(dataset, few, probability, experiment.connectivity, (0.5,))
            point[name] = {metric: float(f"{result.score:.6g}") for metric, result in results.items()}
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
        raise InputError(
            f"silver truth scores a whole video that is held out (split=fold), not split={experiment.split}"
        )
    images = data.frames(experiment.data, f"{experiment.fold:02d}")
    return images, data.silver_truth(experiment.data, experiment.fold)


def test_slices(
    experiment: Experiment, model: nn.Module, report: Report | None = None, rotations: bool = False
) -> TestScores:
    """The figures of Table 1 on the paper's own test slices: ISBI 2012, 30 slices, rows 66 to 511 of each.

    The network sees the whole slice; only the rows whose labels are complete are scored. The threshold as the
    challenge takes it, the best of ten on the scored slices; every threshold's row is kept, so that others can be read.

    Raises:
        reprolib.data.MissingData: if the test slices or their labels are not here.
    """
    images, labels = second_test(experiment)
    names = [f"test slice {index:02d}" for index in range(len(images))]

    def view(angles: Sequence[float]) -> TestView:
        probability = predict_as_trained(experiment, model, images, report, angles)[:, slice(*TEST_ROWS)]
        results = isbi2012.evaluate_stack(labels, np.ascontiguousarray(probability))
        return TestView(curves(results), _by_image(names, results))

    return TestScores(TEST_ROWS, TEST_LABELS_SHA256, view((0.0,)), view(SEVEN_ROTATIONS) if rotations else None)


def silver(experiment: Experiment, model: nn.Module, report: Report | None = None) -> SilverScores:
    """All frames of a video that took no part in training, against the challenge's later silver truth.

    Raises:
        ValueError: unless the experiment holds out a whole video.
        reprolib.data.MissingData: if the silver truth is not here.
    """
    images, truth = second_test(experiment)
    probability = predict_as_trained(experiment, model, images, report)
    names = [f"{experiment.fold:02d}/t{number:03d}" for number in range(len(images))]
    every, smallest = np.zeros(truth.shape, bool), SMALLEST[experiment.data]
    results = evaluate_cells(names, truth, probability, every, smallest, experiment.connectivity)
    return SilverScores(curves(results), watershed_scores(names, truth, probability, every, smallest))


def _parts(dataset: Dataset, indices: Sequence[int], probability: np.ndarray) -> tuple[list[np.ndarray], ...]:
    """Object numbers, probabilities (0 where nobody has looked) and values of some images, each without padding."""
    gold = [dataset.own_part(dataset.instances[index], index) for index in indices]
    planes = [np.where(dataset.ignore[k], 0, plane) for k, plane in zip(indices, probability, strict=True)]
    planes = [dataset.own_part(plane, index) for index, plane in zip(indices, planes, strict=True)]
    return gold, planes, [dataset.image(index) for index in indices]


def fitted(probability: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Probabilities (N, h, w) of some images, padded with 0 to the sides of the data set's arrays."""
    sides = zip(dataset.images.shape[1:3], probability.shape[1:], strict=True)
    rows, columns = (whole - side for whole, side in sides)
    return np.pad(probability, ((0, 0), (0, rows), (0, columns))) if rows or columns else probability


def curves(results: Mapping[str, Result]) -> dict[str, Curve]:
    """Results as a record keeps them, by metric."""
    return {
        metric: Curve(result.score, result.threshold, tuple(dict(row) for row in result.rows))
        for metric, result in results.items()
    }


def _by_image(
    names: Sequence[str], results: Mapping[str, Result], edge: Sequence[bool] | None = None
) -> tuple[ImageScore, ...]:
    """Each image's own figures, at the best threshold of all together."""
    columns = {
        metric: result.per_slice[[row["threshold"] for row in result.rows].index(result.threshold)]
        for metric, result in results.items()
    }
    return tuple(
        ImageScore(name, {metric: float(column[k]) for metric, column in columns.items()}, edge[k] if edge else None)
        for k, name in enumerate(names)
    )


def _at(results: Mapping[str, Result], fixed: Mapping[str, AtThreshold]) -> dict[str, float]:
    """Each metric's figure at a threshold fixed elsewhere, instead of the best one."""
    figures = {}
    for metric, result in results.items():
        row = next(row for row in result.rows if row["threshold"] == fixed[metric].threshold)
        figures[metric] = METRICS[metric].figure(row)
    return figures
