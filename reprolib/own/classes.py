"""Networks for several classes: class maps of images, the share of each class, and the page on a training."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from reprolib import train
from reprolib.data.dataset import Dataset
from reprolib.evaluation.classes import ClassScores
from reprolib.evaluation.prediction import predict_classes
from reprolib.files import replacing, write_text
from reprolib.own.overlay import BLUE, VERMILLION, YELLOW, overlay
from reprolib.own.report import SHOWN, STYLE, loss_picture, picture
from reprolib.runs.records import Record
from reprolib.splits import held_out_indices

# Of classes 1, 2, ...; class 0 shows the image. Okabe and Ito's, then again.
COLOURS = (YELLOW, BLUE, VERMILLION, (0, 158, 115), (204, 121, 167), (230, 159, 0), (0, 114, 178))
OPACITY = 0.45


def coloured(image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: an image (H, W) or (H, W, C) under the colours of its pixels' class numbers (H, W)."""
    shown = overlay(image, np.zeros(numbers.shape, np.int32)).astype(np.float32)
    table = np.array([COLOURS[(number - 1) % len(COLOURS)] for number in range(int(numbers.max()) + 1)], np.float32)
    over = numbers > 0
    shown[over] = (1 - OPACITY) * shown[over] + OPACITY * table[numbers[over]]
    return np.round(shown).astype(np.uint8)


def save_coloured(path: Path, image: np.ndarray, numbers: np.ndarray) -> None:
    """Write `coloured` as PNG, whole or not at all."""
    with replacing(path) as aside:
        Image.fromarray(coloured(image, numbers)).save(aside, "PNG")


def measure_classes(
    numbers: np.ndarray, names: Sequence[str], pixel_size: float | None = None
) -> dict[str, np.ndarray]:
    """Of each class its number, name, area in px (and square micrometres where the pixel size is known), and share."""
    areas = np.bincount(numbers.ravel(), minlength=len(names))
    table = {"class": np.arange(len(names)), "name": np.array(names), "area": areas, "share": areas / numbers.size}
    return table if pixel_size is None else table | {"area (um2)": areas * pixel_size**2}


def class_summary(scores: ClassScores) -> str:
    """How well the pixels of held-out images are told apart, in a sentence."""
    shares = ((name, scores.iou(number)) for number, name in enumerate(scores.names))
    each = ", ".join(f"{name} {'-' if one is None else format(one, '.2f')}" for name, one in shares)
    return f"held out: IoU {each}; mean {scores.mean_iou:.2f}; {scores.accuracy:.1%} of the pixels are right"


def write_class_report(record: Record, dataset: Dataset, path: Path) -> None:
    """Write the page: one HTML file without links to others.

    Args:
        record: of a run on ``dataset`` with classes, with its weights.
    """
    scores, experiment, model = record.scores.classes, record.experiment, train.network(record)
    figures = []
    for index in held_out_indices(experiment, dataset)[:SHOWN]:
        image, truth = dataset.image(index), dataset.own_part(dataset.instances[index], index)
        pictures = [picture(coloured(image, one)) for one in (truth, predict_classes(experiment, model, image))]
        alt = ("the true classes over the image", "the predicted classes over the image")
        shown = "".join(f'<img src="{src}" alt="{text}"> ' for src, text in zip(pictures, alt, strict=True))
        figures.append(f"<figure>{shown}<figcaption>{escape(dataset.names[index])}</figcaption></figure>")
    rows = ""
    for number, (name, row) in enumerate(zip(scores.names, scores.confusion, strict=True)):
        own = scores.iou(number)
        cells = "".join(f"<td>{pixels / max(1, sum(row)):.3f}</td>" for pixels in row)
        rows += f"<tr><td>{escape(name)}</td><td>{'-' if own is None else format(own, '.3f')}</td>{cells}</tr>"
    heads = "".join(f"<th>{escape(head)}</th>" for head in ("true class", "IoU", *(f"as {n}" for n in scores.names)))
    trained = record.scores.training_classes.mean_iou
    fields = ", ".join(f"{name} = {value}" for name, value in experiment.departures().items() if name != "data")
    body = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(dataset.name)}</title>
<style>{STYLE}</style><h1>{escape(dataset.name)}</h1>
<p>{escape(class_summary(scores))}. Training images: mean IoU {trained:.2f}.</p>
<table><tr>{heads}</tr>{rows}</table><p>Shares of each true class's pixels by the class that they were given.</p>
<h2>Held-out images</h2><p>Left the truth, right what was predicted; the first class shows the image.</p>
{"".join(figures)}
<h2>Training</h2><p>{len(record.loss)} steps, {record.training_seconds / 60:.1f} min; {escape(fields)}.</p>
<img src="{loss_picture(record)}" alt="the loss over the steps">
</html>
"""
    write_text(path, body)
