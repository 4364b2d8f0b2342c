"""A page on a network trained on images of one's own: what it finds on held-out images, and what to try next."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from reprolib import train
from reprolib.data.dataset import Dataset
from reprolib.evaluation.detection import Counts, count, matches
from reprolib.evaluation.prediction import predict_as_trained
from reprolib.files import write_text
from reprolib.own.learning import advice
from reprolib.own.overlay import BLUE, VERMILLION, YELLOW, outlines, overlay
from reprolib.runs.records import Record
from reprolib.splits import held_out_indices

WIDEST = 480  # px of a picture on the page
SHOWN = 12  # held-out images on the page
FELL = 0.05  # in SEG, of held-out images, from the best of the way to the end
STYLE = """body{font:16px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
img{max-width:100%;image-rendering:auto}table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5rem;vertical-align:top}"""


def write_report(record: Record, dataset: Dataset, path: Path, curve: Sequence[tuple[int, float]] = ()) -> None:
    """Write the page: one HTML file without links to others.

    It shows the held-out images at the settings that are delivered. The table's figures are cross-fitted, see
    `detection.Detection`.

    Args:
        record: of a run on ``dataset``, with its weights and its `detection`.
        curve: see `learning.learning_curve`; empty where it was not asked for.
    """
    detection, experiment = record.scores.detection, record.experiment
    indices = held_out_indices(experiment, dataset)[:SHOWN]
    images = [dataset.image(index) for index in indices]
    probability = predict_as_trained(experiment, train.network(record), images)
    figures = []
    for index, image, plane in zip(indices, images, probability, strict=True):
        gold = dataset.own_part(dataset.instances[index], index)
        nobody_looked = dataset.own_part(dataset.ignore[index], index)
        result = detection.settings.objects(np.where(nobody_looked, 0, plane[: image.shape[0], : image.shape[1]]))
        caption = f"{dataset.names[index]}: {told(count(gold, result))}"
        pictures = (picture(overlay(image, gold, YELLOW)), picture(errors(image, gold, result)))
        alt = ("the image with the true outlines", "the image with the outlines found")
        shown = "".join(f'<img src="{src}" alt="{text}"> ' for src, text in zip(pictures, alt, strict=True))
        figures.append(f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>")
    rows = [("this network", detection.counts), ("Otsu's threshold on the brightness", detection.otsu)]
    if detection.otsu_watershed:
        rows.append(("Otsu's threshold and a watershed", detection.otsu_watershed))
    table = "".join(
        f"<tr><td>{escape(name)}</td><td>{one.f1:.3f}</td><td>{one.precision:.3f}</td><td>{one.recall:.3f}</td>"
        f"<td>{one.found}</td><td>{one.missed}</td><td>{one.false}</td></tr>"
        for name, one in rows
    )
    fields = ", ".join(f"{name} = {value}" for name, value in experiment.departures().items() if name != "data")
    heads = "".join(f"<th>{head}</th>" for head in ("", "F1", "precision", "recall", "found", "missed", "false"))
    advised = "".join(f"<li>{escape(line)}</li>" for line in next_steps(record, curve))
    body = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(dataset.name)}</title>
<style>{STYLE}</style><h1>{escape(dataset.name)}</h1>
<p>Objects of {len(record.scores.images)} held-out images at an IoU of 0.5, each image at settings chosen on the others.
SEG of the connected components above the best threshold: {record.scores.held_out["seg"].score:.3f}.</p>
<table><tr>{heads}</tr>{table}</table>
<p>Delivered: {escape(str(detection.settings))}.</p>
<h2>What to try next</h2><ul>{advised}</ul>
<h2>Held-out images</h2><p>Left the truth (yellow); right what was found (blue), false (red) and missed (yellow).</p>
{"".join(figures)}
<h2>Training</h2><p>{len(record.loss)} steps, {record.training_seconds / 60:.1f} min; {escape(fields)}.</p>
<img src="{loss_picture(record)}" alt="the loss over the steps">
</html>
"""
    write_text(path, body)


def told(counts: Counts) -> str:
    return f"{counts.found} found, {counts.missed} missed, {counts.false} false"


def errors(image: np.ndarray, gold: np.ndarray, result: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: objects found in blue, false ones in red, missed ones in yellow."""
    found, right = matches(gold, result)
    shown = overlay(image, np.where(np.isin(gold, found), 0, gold), YELLOW)
    for part, colour in ((np.isin(result, right), BLUE), (~np.isin(result, right), VERMILLION)):
        shown[outlines(np.where(part, result, 0))] = colour
    return shown


def next_steps(record: Record, curve: Sequence[tuple[int, float]] = ()) -> list[str]:
    """Advice, by plain rules on the record's figures and the learning curve, if there is one."""
    scores, losses = record.scores, np.array(record.loss)
    counts, lines = scores.detection.counts, [advice(curve)] if curve else []
    on_the_way = [(point.step, point.held_out["seg"]) for point in record.curve or () if point.held_out]
    third = max(1, len(losses) // 6)
    falling = len(losses) > 2 * third and losses[-third:].mean() < 0.9 * losses[-2 * third : -third].mean()
    gap = scores.training["seg"].score - scores.held_out["seg"].score
    if falling:
        lines.append("The loss is still falling: train longer (--minutes).")
    if on_the_way:
        step, best = max(on_the_way, key=lambda point: point[1])
        if best - on_the_way[-1][1] > FELL:
            lines.append(
                f"Held-out images scored best at step {step} (SEG {best:.2f}, at the end "
                f"{on_the_way[-1][1]:.2f}): more minutes will not help, more annotated images may."
            )
    if gap > 0.1:
        lines.append(f"Training images score {gap:.2f} higher in SEG than held-out ones: annotate more images.")
    if counts.precision > counts.recall + 0.1:
        lines.append("More objects are missed than falsely found: annotate images like those that miss them.")
    if counts.recall > counts.precision + 0.1:
        lines.append("Many objects are false: is every object of the training images annotated?")
    if counts.f1 <= max(one.f1 for one in (scores.detection.otsu, scores.detection.otsu_watershed) if one):
        lines.append("Otsu's threshold does as well: these images may not need a network.")
    return lines or ["Nothing stands out. More annotated images are what usually helps."]


def picture(pixels: np.ndarray) -> str:
    """Pixels (H, W, 3) as a PNG in a data address, at most WIDEST px wide."""
    image = Image.fromarray(pixels)
    image.thumbnail((WIDEST, WIDEST))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def loss_picture(record: Record) -> str:
    """The loss over the steps as a PNG in a data address."""
    figure = Figure(figsize=(6, 2.4), layout="constrained")
    axis = figure.subplots()
    window = max(1, len(record.loss) // 100)
    axis.plot(np.convolve(record.loss, np.ones(window) / window, mode="valid"), color="black", linewidth=0.8)
    axis.set(xlabel="step", ylabel=f"loss, mean of {window}")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
