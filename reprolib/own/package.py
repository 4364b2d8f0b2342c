"""A recorded network as a BioImage.IO package that other programs open: ONNX, TorchScript, model card.

The package follows version 0.5 of the BioImage.IO specification. Its network gives the probability of class 1, or of
each of several classes, and its preprocessing is the normalisation that the network was trained with; so a program that
reads the specification gives what `reprolib predict` gives. What the specification cannot tell stands in the model
card: the scale of the images, the mean over mirror images, and how probabilities become cells or classes.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reprolib import train
from reprolib.augment import PERCENTILES, normalise
from reprolib.data.dataset import OWN, Dataset
from reprolib.errors import InputError
from reprolib.files import check_room, check_target, replacing
from reprolib.geometry import HALO, SAME, STRIDE, VALID, Geometry
from reprolib.model import UNet
from reprolib.own.classes import class_summary
from reprolib.own.folder import find_own, named_folder
from reprolib.own.predict import cell_settings
from reprolib.printing import plain
from reprolib.resample import resample_image
from reprolib.runs.records import Record
from reprolib.splits import held_out_indices
from reprolib.tiling import window

OPSET = 17  # of ONNX
TEST_SIDE = 252  # px, of the package's test input; the next larger side that the network takes
PADDED_HALO = 96  # px: HALO, up to a size that leaves the sides of a padded network's input multiples of STRIDE
CONTEXT = {  # what the model card says, by the network's padding
    "valid": f"the output is {2 * HALO} px smaller than the input. Mirror the image by {HALO} px on each side.",
    "same": f"the output is as large as the input, whose sides are multiples of {STRIDE} px. Fill the image up with "
    f"its mirror image below and on the right, and cut the output. Nearer than {HALO} px to an edge the network sees "
    f"zeros beyond it: tiles must overlap, by {PADDED_HALO} px on each side.",
}


class Probability(nn.Module):
    """A network whose output is the probability of class 1, (B, 1, h, w), or of each of K classes, (B, K, h, w).

    Of an input (B, C, H, W); h = H - 184 with valid convolutions, h = H with padded ones.
    """

    def __init__(self, model: nn.Module, every_class: bool = False):
        super().__init__()
        self.model, self.first = model, 0 if every_class else 1

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).softmax(dim=1)[:, self.first :]


def to_onnx(model: nn.Module, example: Tensor) -> bytes:
    """A network as ONNX, for inputs of any number, height and width that it takes."""
    axes = {"input": {0: "batch", 2: "height", 3: "width"}, "output": {0: "batch", 2: "height_out", 3: "width_out"}}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sides that are computed while tracing: the crops' margins are constant
        options = {"input_names": ["input"], "output_names": ["output"], "dynamic_axes": axes}
        torch.onnx.export(model, (example,), file, dynamo=False, opset_version=OPSET, **options)
    return file.getvalue()


def to_torchscript(model: nn.Module, example: Tensor, path: Path) -> None:
    """A network as TorchScript, for inputs of any number, height and width that it takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model, example), path)


def package(record: Record, output: Path, images: Path | None = None, ignore: int | None = None) -> Path:
    """Write a package (zip) of a recorded network.

    Args:
        record: of a U-Net, its weights beside it.
        output: .zip.
        images: the folder that it was trained on, if these are images of one's own: a part of a held-out image becomes
            the package's test input. Of published sets, which may not be passed on, noise does.
        ignore: the number of their labels where nobody has looked, as in training.

    Raises:
        InputError: if the network is no U-Net, the file has another ending, or the folder is another one.
        FileNotFoundError: if the weights are not there.
    """
    from bioimageio.spec import save_bioimageio_package
    from bioimageio.spec.model import v0_5

    experiment = record.experiment
    if output.suffix != ".zip":
        raise InputError(f"{output} must end in .zip: a package is a zip file")
    check_target(output)
    check_room(output.parent)
    network = train.network(record)
    if not isinstance(network, UNet):
        raise InputError(f"a package holds a U-Net, not the ancestor {experiment.variant!r}")
    dataset = _trained_on(record, images, ignore) if experiment.data.startswith(OWN) else None
    model, values = Probability(network, experiment.classes > 0).eval(), test_image(record, dataset)
    with torch.inference_mode():
        expected = model(normalise(values, experiment.normalisation).reshape(1, -1, *values.shape[:2])).numpy()
    planes = np.moveaxis(values.reshape(*values.shape[:2], -1), -1, 0)[None].astype(np.float32)
    example = torch.from_numpy(planes)
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder)
        (aside / "weights.onnx").write_bytes(to_onnx(model, example))
        to_torchscript(model, example, aside / "weights.pt")
        np.save(aside / "input.npy", planes)
        np.save(aside / "output.npy", expected)
        (aside / "README.md").write_text(model_card(record), encoding="utf-8")
        description = _description(v0_5, record, aside, planes.shape[1])
        with replacing(output) as part:
            save_bioimageio_package(description, output_path=part)
    return output


def _trained_on(record: Record, images: Path | None, ignore: int | None) -> Dataset:
    """The images of one's own that a network was trained on: a folder, or a set that the project holds."""
    name = record.experiment.data
    if images is None:
        if (place := find_own(name)) is None:
            raise InputError(f"{name} is about images of your own: name their folder, --images FOLDER")
        return place[1]
    task = "classes" if record.experiment.classes else "objects"
    dataset = named_folder(images, record.experiment.channels, ignore, task)
    if dataset.hashes["images"] != record.data["images"]:
        raise InputError(f"{images} holds other images than those that {name} was trained on")
    return dataset


def test_image(record: Record, dataset: Dataset | None) -> np.ndarray:
    """(s, s) or (s, s, C): a part of a held-out image at the network's scale; without a data set noise.

    The side s is 252 px, of a network with padding 256.
    """
    experiment = record.experiment
    side = test_side(experiment.padding)
    channels = () if experiment.planes == 1 else (experiment.planes,)
    if dataset is None:
        return np.random.default_rng(0).normal(100, 20, (side, side, *channels)).astype(np.float32)
    image = resample_image(dataset.image(held_out_indices(experiment, dataset)[0]), experiment.scale)
    return window(image, 0, 0, side).astype(np.float32)


def test_side(padding: str) -> int:
    """Side (px) of the test input, which is the smallest that the package's description allows."""
    geometry: Geometry = VALID if padding == "valid" else SAME
    return geometry.covering(TEST_SIDE - 2 * geometry.halo)


def model_card(record: Record) -> str:
    """What the network is, what it learned of, how well it does, and what a program must do besides: Markdown."""
    experiment, scores = record.experiment, record.scores
    lines = [
        f"# {plain(experiment.name)}",
        "",
        "A U-Net (Ronneberger, Fischer, Brox, MICCAI 2015), trained with reprolib.",
        "",
        f"- Trained on: {plain(experiment.data)}; {experiment.steps} steps; all that departs from the paper: "
        + plain(", ".join(f"{name} = {value}" for name, value in experiment.departures().items())),
        f"- Weights: SHA-256 {record.weights.sha256}, recorded {plain(record.date)}, "
        f"code {plain(record.environment.code[:12])}",
    ]
    if scores.detection:
        counts = scores.detection.counts
        lines.append(
            f"- Held out: {len(scores.images)} images, F1 {counts.f1:.3f} at an IoU of 0.5, precision "
            f"{counts.precision:.3f}, recall {counts.recall:.3f}, {counts.found + counts.missed} objects, each image "
            f"at settings chosen on the others; without a network (Otsu) {scores.detection.otsu.f1:.3f}"
        )
    elif scores.classes:
        lines.append(f"- H{plain(class_summary(scores.classes))[1:]}")  # "Held out: ..."
    elif scores.held_out:
        figures = (f"{metric} {curve.score:.4g}" for metric, curve in scores.held_out.items())
        lines.append(f"- Held out, best threshold on the scored images: {', '.join(figures)}")
    lines += [
        "",
        "## What the package's description cannot tell",
        "",
        f"- Scale: give images at {experiment.scale:g} of their size, and bring the probability back to full size."
        if experiment.scale != 1
        else "- Scale: images as they are.",
        f"- Context: {CONTEXT[experiment.padding]}",
    ]
    if scores.classes:
        names = ", ".join(f"{number} = {plain(name)}" for number, name in enumerate(scores.classes.names))
        lines.append(f"- Classes: one channel each, {names}. A pixel is of the class that is most probable.")
    else:
        lines.append(f"- Cells: {cell_settings(record)}.")
    if experiment.mean_of_flips:
        lines.append("- `reprolib predict` takes the mean over the image and its three mirror images.")
    lines += [
        "",
        "## Limits",
        "",
        "Images unlike the training images (brightness of the ground, noise, size of objects) get an answer that is "
        "worth little. Held-out images come from the same source as the training images.",
    ]
    return "\n".join(lines) + "\n"


def _description(v0_5, record: Record, folder: Path, channels: int):
    """The package's description, by the specification's own classes."""
    experiment, valid = record.experiment, record.experiment.padding == "valid"
    side = {"min": test_side(experiment.padding), "step": STRIDE}
    probabilities = list(record.scores.classes.names) if record.scores.classes else ["probability"]
    names = {"grey": ["grey"], "rgb": ["red", "green", "blue"]}.get(
        experiment.channels, [f"channel{number}" for number in experiment.channels.split(",")]
    )
    spatial = [v0_5.SpaceInputAxis(id=v0_5.AxisId(a), size=v0_5.ParameterizedSize(**side)) for a in "yx"]
    within = [v0_5.AxisId("y"), v0_5.AxisId("x")]
    if experiment.normalisation == "percentiles":
        low, high = PERCENTILES
        preprocessing = [
            v0_5.ScaleRangeDescr(
                kwargs=v0_5.ScaleRangeKwargs(axes=within, min_percentile=low, max_percentile=high, eps=1e-6)
            ),
            v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(gain=2.0, offset=-1.0)),
        ]
    else:
        preprocessing = [v0_5.ZeroMeanUnitVarianceDescr(kwargs=v0_5.ZeroMeanUnitVarianceKwargs(axes=within, eps=1e-6))]
    inputs = v0_5.InputTensorDescr(
        id=v0_5.TensorId("input"),
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=names), *spatial],
        test_tensor=v0_5.FileDescr(source=folder / "input.npy"),
        preprocessing=preprocessing,
    )
    sizes = {
        axis: v0_5.SizeReference(tensor_id=v0_5.TensorId("input"), axis_id=axis, offset=-2 * HALO if valid else 0)
        for axis in within
    }
    given = [
        v0_5.SpaceOutputAxis(id=axis, size=size)
        if valid
        else v0_5.SpaceOutputAxisWithHalo(id=axis, size=size, halo=PADDED_HALO)
        for axis, size in sizes.items()
    ]
    outputs = v0_5.OutputTensorDescr(
        id=v0_5.TensorId("output"),
        axes=[v0_5.BatchAxis(), v0_5.ChannelAxis(channel_names=probabilities), *given],
        test_tensor=v0_5.FileDescr(source=folder / "output.npy"),
    )
    return v0_5.ModelDescr(
        name=f"U-Net {experiment.data} {experiment.key}",
        description=f"U-Net for {experiment.data}, trained with reprolib; see the model card.",
        authors=[v0_5.Author(name="the authors of the training")],
        cite=[v0_5.CiteEntry(text="Ronneberger, Fischer, Brox 2015", doi=v0_5.Doi("10.1007/978-3-319-24574-4_28"))],
        license=v0_5.LicenseId("CC-BY-4.0"),
        documentation=v0_5.FileDescr(source=folder / "README.md"),
        inputs=[inputs],
        outputs=[outputs],
        weights=v0_5.WeightsDescr(
            onnx=v0_5.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=OPSET),
            torchscript=v0_5.TorchscriptWeightsDescr(
                source=folder / "weights.pt", pytorch_version=v0_5.Version(torch.__version__.split("+")[0])
            ),
        ),
    )
