"""The paper's claims and what became of them: the table of the book's first page, built from records and facts.

A verdict follows from a rule, never from judgement:

* *exact*: arithmetic that came out to the last digit;
* *reproduced*, *partly*, *not reproduced*: a property that was measured, by the bound stated in the row;
* *not comparable*: a score on other images than the paper's; both values are shown;
* *not run yet*: no run is recorded, so there is no verdict.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import nn

from reprolib import catalogue, evaluate, facts, records
from reprolib.model import UNet, output_side

PARAMETERS = 31_030_658  # of Fig. 1, by hand: weights and biases of its 23 layers
VERDICTS = ("exact", "reproduced", "partly", "not reproduced", "not comparable", "not run yet")


@dataclass(frozen=True)
class Claim:
    """One row of the table; all fields are text as it is printed."""

    claim: str
    paper: str
    ours: str
    protocol: str
    verdict: str
    chapter: str  # the notebook's name without ending

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is unknown: choose one of {', '.join(VERDICTS)}")

    @property
    def command(self) -> str:
        """What re-runs the chapter that the row comes from."""
        return f"reprolib run book/{self.chapter}.ipynb"


def claims() -> list[Claim]:
    """All rows, in the order of the chapters."""
    return [*architecture(), *tiling(), *weights(), *training(), *em(), *not_run_yet()]


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


def training() -> list[Claim]:
    """Sec. 3: the initialisation."""
    spread = fact("06_training", "spread")["paper, paper"]
    worst = max(max(spread), 1 / min(spread))
    return [
        Claim(
            "The initialisation gives every feature map about unit variance",
            "about 1",
            f"standard deviation {min(spread):.1f} to {max(spread):.1f}",
            "before the ReLU, 23 layers, width 16, mean of 5 seeds, a phantom as input; "
            "reproduced if within a factor of 2 of 1, partly within 10",
            "reproduced" if worst <= 2 else "partly" if worst <= 10 else "not reproduced",
            "06_training",
        )
    ]


def em() -> list[Claim]:
    """Table 1, as far as folds are recorded."""
    runs = [run for fold in catalogue.EM_FOLDS if (run := records.find(catalogue.em(fold)))]
    if not runs:
        return [Claim("Table 1: ISBI 2012, EM", "see chapter", "-", "-", "not run yet", "07_em")]
    scores = [run["scores"] for run in runs]
    rotated = all("rotated" in part for part in scores)
    folds = [evaluate.pool([part], rotated) for part in scores]
    pooled, slices = evaluate.pool(scores, rotated), sum(len(part["images"]) for part in scores)
    many = len(runs) > 1
    protocol = (
        f"other images: {slices} held-out slices of {len(runs)} fold{'s pooled (and the best to the worst)' * many}, "
        f"width 16, one seed, {'mean over 7 rotations' if rotated else 'no rotations'}; best of 10 thresholds, as the "
        "challenge does (in brackets: threshold fixed on training slices)"
    )
    rows = []
    for metric, name, paper, digits in (
        ("warping_error", "warping error", "0.000353", 5),
        ("rand_error", "Rand error", "0.0382", 3),
        ("pixel_error", "pixel error", "0.0611", 3),
    ):
        ours = f"{pooled[metric]['score']:.{digits}f} ({pooled[metric]['at_training_threshold']:.{digits}f})"
        if many:
            alone = [fold[metric]["score"] for fold in folds]
            ours += f"; {min(alone):.{digits}f} to {max(alone):.{digits}f}"
        rows.append(Claim(f"Table 1, EM: {name}", paper, ours, protocol, "not comparable", "07_em"))
    return rows


def not_run_yet() -> list[Claim]:
    rows = (
        ("Better than the sliding window of Ciresan et al. on EM", "warping 0.000353 against 0.000420"),
        ("Table 2: PhC-C2DH-U373, IOU", "0.9203"),
        ("Table 2: DIC-C2DH-HeLa, IOU", "0.7756"),
        ("A 512 x 512 image takes less than a second on a GPU of 2015", "below 1 s"),
    )
    return [Claim(claim, paper, "-", "-", "not run yet", "07_em") for claim, paper in rows]


def table(rows: list[Claim]) -> str:
    """The table as Markdown, with a badge for each verdict, and chapter and command beside the protocol."""
    lines = ["| claim | paper | ours | verdict | protocol, chapter and command |", "|---|---|---|---|---|"]
    for row in rows:
        badge = f'<span class="verdict verdict-{row.verdict.replace(" ", "-")}">{row.verdict}</span>'
        where = f"{row.protocol}. [Chapter {int(row.chapter[:2])}]({row.chapter}.html), `{row.command}`"
        how = "-" if row.verdict == "not run yet" else where
        lines.append(f"| {row.claim} | {row.paper} | {row.ours} | {badge} | {how} |")
    return "\n".join(lines)


def plain_table(rows: list[Claim]) -> str:
    """The same for the README, which a test holds equal to this: ``python -m reprolib.claims`` prints it."""
    lines = ["| claim | paper | ours | protocol | verdict |", "|---|---|---|---|---|"]
    lines += [f"| {row.claim} | {row.paper} | {row.ours} | {row.protocol} | {row.verdict} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(plain_table(claims()))
