"""Inference in whole numbers of 8 bits, by ONNX Runtime's quantisation, and what it costs in the scores of Table 1.

Weights are rounded per channel, activations by their range on training slices. The time is that of the paper's network
on a 512 x 512 image; the scores are those of the book's network of EM fold 5 on its held-out slices, in float32,
bfloat16 and 8 bits: best of ten thresholds, without rotations.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from benchmarks.prediction import SIDE, TILE, export, onnx_session, plain
from benchmarks.timing import Row, alternate
from reprolib import data, train
from reprolib.augment import normalise
from reprolib.evaluation.metric import ERRORS
from reprolib.evaluation.score import evaluate
from reprolib.model import UNet
from reprolib.plan import catalogue
from reprolib.runs import records
from reprolib.splits import held_out_indices, training_indices
from reprolib.tiling import predict, window

CALIBRATION = 6  # training slices


def mirrored_tile(image: np.ndarray) -> np.ndarray:
    """(1, 1, TILE, TILE) float32: a normalised image with its mirrored margin."""
    return window(normalise(image).numpy(), -92, -92, TILE)[None, None]


def quantise(source: Path, target: Path, tiles: list[np.ndarray]) -> None:
    """The network of one ONNX file in 8 bits, calibrated on some tiles."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rest = iter(tiles)

        def get_next(self):
            tile = next(self.rest, None)
            return None if tile is None else {"x": tile}

    logging.disable(logging.WARNING)
    quant_pre_process(str(source), str(source.with_suffix(".prepared.onnx")))
    quantize_static(
        str(source.with_suffix(".prepared.onnx")),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    logging.disable(logging.NOTSET)


def session(model: torch.nn.Module, tiles: list[np.ndarray], folder: Path):
    """ONNX Runtime's session of a network in 8 bits."""
    export(model, torch.from_numpy(tiles[0]), folder / "network.onnx")
    quantise(folder / "network.onnx", folder / "quantised.onnx", tiles)
    return onnx_session(folder / "quantised.onnx")


def costs(folder: Path) -> dict[str, dict[str, float]]:
    """Number format -> score -> value, on the held-out slices of EM fold 5; empty where the slices are not here."""
    if not data.present("isbi2012"):
        return {}
    (record,) = records.obtained([catalogue.em(5)])
    experiment, model = record.experiment, train.network(record)
    dataset = data.load("isbi2012")
    held_out, training = held_out_indices(experiment, dataset), training_indices(experiment, dataset)
    eight_bits = session(
        model, [mirrored_tile(dataset.images[index]) for index in training[:: 24 // CALIBRATION]], folder
    )

    def by_session(image: np.ndarray) -> np.ndarray:
        (logits,) = eight_bits.run(None, {"x": mirrored_tile(image)})
        return torch.from_numpy(logits).softmax(dim=1)[0, 1, :SIDE, :SIDE].numpy()

    ways = {
        "float32": lambda image: predict(model, image, TILE)[1],
        "bfloat16": lambda image: predict(model, image, TILE, reduced=True)[1],
        "8 bits": by_session,
    }
    found = {}
    for name, way in ways.items():
        results = evaluate(dataset, held_out, np.stack([way(dataset.images[index]) for index in held_out]))
        found[name] = {metric.key: round(results[metric.key].score, metric.digits) for metric in ERRORS}
    return found


def measure(folder: Path) -> tuple[list[Row], dict]:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        print(f"8 bits are left out ({error}); they need the extra [peers]")
        return [], {}
    torch.manual_seed(0)
    model, tile = UNet(width=64).eval(), torch.randn(1, 1, TILE, TILE)
    eight_bits = session(model, [torch.randn(1, 1, TILE, TILE).numpy() for _ in range(2)], folder)
    took = alternate({"plain": plain(model, tile), "8 bits": lambda: eight_bits.run(None, {"x": tile.numpy()})}, 5)
    what = f"{SIDE} x {SIDE} px, width 64, 8 bits"
    rows = [Row(what, "plain PyTorch", took["plain"], took["8 bits"], "s")]
    rows.append(Row(what, "the paper's bound", 1.0, took["8 bits"], "s", 1))
    return rows, {"scores": costs(folder)}
