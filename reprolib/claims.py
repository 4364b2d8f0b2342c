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

from reprolib import catalogue, facts, records
from reprolib.model import UNet, output_side

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
        Claim("The network has 23 convolutional layers", "23", str(layers), counted, exactly(23, layers), "02_architecture"),
        Claim(
            "A 572 px tile gives 388 px of output",
            "388",
            str(output_side(572)),
            counted,
            exactly(388, output_side(572)),
            "02_architecture",
        ),
    ]


def em() -> list[Claim]:
    """Table 1, as far as folds are recorded."""
    runs = [run for fold in catalogue.EM_FOLDS if (run := records.find(catalogue.em(fold)))]
    if not runs:
        return [Claim("Table 1: ISBI 2012, EM", "see chapter", "-", "-", "not run yet", "07_em")]
    images = sum(len(run["scores"]["images"]) for run in runs)
    protocol = (
        f"other images: {images} held-out slices of {len(runs)} fold{'s' * (len(runs) > 1)}, width 16, one seed, no rotations; "
        "best of 10 thresholds, as the challenge does (in brackets: threshold fixed on training slices)"
    )
    rows = []
    for metric, name, paper, digits in (
        ("warping_error", "warping error", "0.000353", 5),
        ("rand_error", "Rand error", "0.0382", 3),
        ("pixel_error", "pixel error", "0.0611", 3),
    ):
        ours = spread([run["scores"]["held_out"][metric]["score"] for run in runs], digits)
        fixed = spread([run["scores"]["at_training_threshold"][metric] for run in runs], digits)
        rows.append(Claim(f"Table 1, EM: {name}", paper, f"{ours} ({fixed})", protocol, "not comparable", "07_em"))
    return rows


def spread(values: list[float], digits: int) -> str:
    """ "0.050", or of several folds the mean and the range."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{min(values):.{digits}f} to {max(values):.{digits}f}]"


def not_run_yet() -> list[Claim]:
    rows = (
        ("Better than the sliding window of Ciresan et al. on EM", "warping 0.000353 against 0.000420"),
        ("Table 2: PhC-C2DH-U373, IOU", "0.9203"),
        ("Table 2: DIC-C2DH-HeLa, IOU", "0.7756"),
        ("A 512 x 512 image takes less than a second on a GPU of 2015", "below 1 s"),
    )
    return [Claim(claim, paper, "-", "-", "not run yet", "07_em") for claim, paper in rows]


def table(rows: list[Claim]) -> str:
    """The table as Markdown, with a badge for each verdict and a link to each chapter."""
    lines = ["| claim | paper | ours | protocol | verdict | chapter and command |", "|---|---|---|---|---|---|"]
    for row in rows:
        badge = f'<span class="verdict verdict-{row.verdict.replace(" ", "-")}">{row.verdict}</span>'
        where = "-" if row.verdict == "not run yet" else f"[{row.chapter[:2]}]({row.chapter}.html) `{row.command}`"
        lines.append(f"| {row.claim} | {row.paper} | {row.ours} | {row.protocol} | {badge} | {where} |")
    return "\n".join(lines)


def plain_table(rows: list[Claim]) -> str:
    """The same for the README, which a test holds equal to this: ``python -m reprolib.claims`` prints it."""
    lines = ["| claim | paper | ours | protocol | verdict |", "|---|---|---|---|---|"]
    lines += [f"| {row.claim} | {row.paper} | {row.ours} | {row.protocol} | {row.verdict} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(plain_table(claims()))
