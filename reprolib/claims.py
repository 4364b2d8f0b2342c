"""The paper's claims and what became of them, built from records and facts: first those about the method.

python -m reprolib.claims    prints the table of the README
"""

from __future__ import annotations

import json

import torch
from torch import nn

from reprolib import facts, results
from reprolib.claim import Claim, plain_table, summary, table
from reprolib.model import UNet, output_side

__all__ = ["Claim", "claims", "plain_table", "summary", "table"]
PARAMETERS = 31_030_658  # of Fig. 1, by hand: weights and biases of its 23 layers


def claims() -> list[Claim]:
    """All rows, in the order of the chapters."""
    return [*architecture(), *tiling(), *weights(), *augmentation(), *training(), *results.rows()]


def fact(chapter: str, section: str) -> dict:
    """The recorded numbers of a chapter's section."""
    path = facts.FOLDER / f"{chapter}.json"
    return json.loads(path.read_text(encoding="utf-8"))[section]["numbers"]


def exactly(paper: int, ours: int) -> str:
    return "exact" if paper == ours else "not reproduced"


def architecture() -> list[Claim]:
    with torch.device("meta"):
        model = UNet()
    layers = sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in model.modules())
    counted = "counted in the network itself"
    return [
        Claim(
            "The network has 23 convolutional layers",
            "23",
            str(layers),
            counted,
            exactly(23, layers),
            "02_architecture",
        ),
        Claim(
            "It has 31 million weights (counted from Fig. 1)",
            f"{PARAMETERS:,}",
            f"{sum(p.numel() for p in model.parameters()):,}",
            counted,
            exactly(PARAMETERS, sum(p.numel() for p in model.parameters())),
            "02_architecture",
        ),
        Claim(
            "A 572 px tile gives 388 px of output",
            "388",
            str(output_side(572)),
            counted,
            exactly(388, output_side(572)),
            "02_architecture",
        ),
    ]


def tiling() -> list[Claim]:
    """Sec. 2, Fig. 2: seamless segmentation of large images."""
    untrained, trained = fact("03_overlap_tile", "untrained"), fact("03_overlap_tile", "trained")
    bound = untrained["on the lattice"]["largest"]  # "below 1e-10"
    return [
        Claim(
            "Overlap-tile gives a seamless segmentation",
            "seamless",
            f"tiled and whole differ by {bound}",
            "largest difference in probability, tiles on the 16 px lattice, float64; reproduced if below 1e-9",
            "reproduced" if float(bound.removeprefix("below ")) <= 1e-9 else "not reproduced",
            "03_overlap_tile",
        ),
        Claim(
            "... also with tiles side by side, as Fig. 2 draws them",
            "seamless",
            f"{trained['by the whole output']['mean']:.3f} on average",
            "mean difference in probability from the whole image, trained network, EM slice 24; partly if below 0.01",
            "partly" if 1e-9 < trained["by the whole output"]["mean"] < 0.01 else "not reproduced",
            "03_overlap_tile",
        ),
    ]


def weights() -> list[Claim]:
    """Sec. 3, Fig. 3: touching cells must be separated by drawn borders."""
    found = fact("04_weight_map", "truth as result, dic-hela")
    without, cut = found["as it is"]["SEG"], found["cut where cells touch"]["SEG"]
    return [
        Claim(
            "Touching HeLa cells need separation borders",
            "borders drawn and weighted",
            f"SEG {without:.3f} without, {cut:.3f} with",
            f"the truth itself as result, {found['as it is']['cells']} gold cells of both public videos, before any "
            "network; reproduced if borders gain more than 0.1",
            "reproduced" if cut - without > 0.1 else "not reproduced",
            "04_weight_map",
        )
    ]


def augmentation() -> list[Claim]:
    """Sec. 3.1: smooth deformations."""
    at, kinks = fact("05_augmentation", "folding")["572, 10"], fact("05_augmentation", "kinks")
    smooth = at["fields"] == 0 and kinks["bicubic"] < 0.1
    return [
        Claim(
            "Displacements of 10 px on a 3 x 3 grid deform smoothly",
            "smooth",
            f"folds in {at['fields']:.0%} of the fields; areas change by {at['low']:.2f} to {at['high']:.2f}",
            "150 random fields on a 572 px tile; reproduced if none folds the image over, and the slope jumps by less "
            "than a tenth of its size where two patches of the grid meet",
            "reproduced" if smooth else "not reproduced",
            "05_augmentation",
        )
    ]


def training() -> list[Claim]:
    """Sec. 3: the initialisation."""
    spread = fact("06_training", "spread")["paper, paper"]
    worst = max(max(spread), 1 / min(spread))
    return [
        Claim(
            "The initialisation gives every feature map about unit variance",
            "about 1",
            f"standard deviation {min(spread):.1f} to {max(spread):.1f} (variance {min(spread) ** 2:.1f} to "
            f"{max(spread) ** 2:.0f})",
            "of each of 23 layers before the ReLU, width 16, mean of 5 seeds, a phantom as input; reproduced if the "
            "standard deviation is within a factor of 2 of 1, partly within 10",
            "reproduced" if worst <= 2 else "partly" if worst <= 10 else "not reproduced",
            "06_training",
        )
    ]


if __name__ == "__main__":
    print(plain_table(claims()))
