"""The claims about the method (Sec. 2 and 3), from the network itself and from recorded facts."""

from __future__ import annotations

import torch
from torch import nn

from reprolib.claims.claim import Claim, Verdict
from reprolib.geometry import output_side
from reprolib.model import UNet
from reprolib.plan import facts

PARAMETERS = 31_030_658  # of Fig. 1, by hand: weights and biases of its 23 layers
LAYERS, OUTPUT = 23, 388  # Sec. 2; Fig. 1, of a tile of 572 px


def claims() -> list[Claim]:
    """In the order of the chapters."""
    return [*architecture(), *tiling(), weights(), augmentation(), training()]


def exactly(paper: int, ours: int) -> Verdict:
    return Verdict.EXACT if paper == ours else Verdict.NOT_REPRODUCED


def reproduced_if(holds: bool) -> Verdict:
    return Verdict.REPRODUCED if holds else Verdict.NOT_REPRODUCED


def architecture() -> list[Claim]:
    with torch.device("meta"):
        model = UNet()
    layers = sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in model.modules())
    parameters, side = sum(p.numel() for p in model.parameters()), output_side(572)
    counts = (
        ("layers", "The network has 23 convolutional layers", LAYERS, layers),
        ("parameters", "It has 31 million weights (counted from Fig. 1)", PARAMETERS, parameters),
        ("output", "A 572 px tile gives 388 px of output", OUTPUT, side),
    )
    how, chapter = "counted in the network itself", "02_architecture"
    return [
        Claim(key, claim, f"{paper:,}", (f"{ours:,}",), how, exactly(paper, ours), chapter)
        for key, claim, paper, ours in counts
    ]


def tiling() -> list[Claim]:
    """Sec. 2, Fig. 2: seamless segmentation of large images."""
    numbers = {section: facts.numbers("03_overlap_tile", section) for section in ("untrained", "trained")}
    largest = numbers["untrained"]["on the lattice"]["largest"]  # a bound in words
    mean = numbers["trained"]["by the whole output"]["mean"]
    return [
        Claim(
            "tiles",
            "Overlap-tile gives a seamless segmentation",
            "seamless",
            (f"tiled and whole differ by {largest}",),
            "largest difference in probability, tiles on the 16 px lattice, float64; reproduced if below 1e-9",
            reproduced_if(largest == "below 1e-10"),
            "03_overlap_tile",
        ),
        Claim(
            "tiles side by side",
            "... also with tiles side by side, as Fig. 2 draws them",
            "seamless",
            (f"{mean:.3f} on average",),
            "mean difference in probability from the whole image, trained network, EM slice 24; partly if below 0.01",
            Verdict.PARTLY if 1e-9 < mean < 0.01 else Verdict.NOT_REPRODUCED,
            "03_overlap_tile",
        ),
    ]


def weights() -> Claim:
    """Sec. 3, Fig. 3: touching cells must be separated by drawn borders."""
    numbers = facts.numbers("04_weight_map", "truth as result, dic-hela")
    without, cut = numbers["as it is"]["SEG"], numbers["cut where cells touch"]["SEG"]
    return Claim(
        "borders",
        "Touching HeLa cells need separation borders",
        "borders drawn and weighted",
        (f"SEG {without:.3f} without, {cut:.3f} with",),
        f"the truth itself as result, {numbers['as it is']['cells']} gold cells of both public videos, before any "
        "network; reproduced if borders gain more than 0.1",
        reproduced_if(cut - without > 0.1),
        "04_weight_map",
    )


def augmentation() -> Claim:
    """Sec. 3.1: smooth deformations."""
    at = facts.numbers("05_augmentation", "folding")["572, 10"]
    kinks = facts.numbers("05_augmentation", "kinks")
    return Claim(
        "deformation",
        "Displacements of 10 px on a 3 x 3 grid deform smoothly",
        "smooth",
        (f"folds in {at['fields']:.0%} of the fields", f"areas change by {at['low']:.2f} to {at['high']:.2f}"),
        "150 random fields on a 572 px tile; reproduced if none folds the image over, and the slope jumps by less "
        "than a tenth of its size where two patches of the grid meet",
        reproduced_if(at["fields"] == 0 and kinks["bicubic"] < 0.1),
        "05_augmentation",
    )


def training() -> Claim:
    """Sec. 3: the initialisation."""
    spread = facts.numbers("06_training", "spread")["paper, paper"]
    low, high = min(spread), max(spread)
    off = max(high, 1 / low)
    return Claim(
        "variance",
        "The initialisation gives every feature map about unit variance",
        "about 1",
        (f"standard deviation {low:.1f} to {high:.1f} (variance {low**2:.1f} to {high**2:.0f})",),
        "of each of 23 layers before the ReLU, width 16, mean of 5 seeds, a phantom as input; reproduced if the "
        "standard deviation is within a factor of 2 of 1, partly within 10",
        Verdict.REPRODUCED if off <= 2 else Verdict.PARTLY if off <= 10 else Verdict.NOT_REPRODUCED,
        "06_training",
    )
