"""The experiments of the protocol (``book/protocol.md``): recipes, the arms of comparisons, primary claims, deltas.

Where the paper speaks, a recipe follows it. Where it is silent, the choice was made on an inner split, which sees
training images alone. Where two processor cores forbid it (width, steps, tile), a field of the experiment says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from reprolib.experiment import Experiment

SEEDS = (0, 1, 2)
TEST_SEEDS = (0, 1, 2, 3, 4)  # of the headline recipe on the test slices
CHOICES = (1, 2, 3, 4, 5)  # of training images: five sets of few, or five folds of which one is left out
THIRDS = (1, 2, 3)
VIDEOS = (2, 1)  # the video held out
CELLS = ("phc-u373", "dic-hela")
# The smallest difference that is worth having, in each metric: about a tenth of what the paper reports.
DELTA = {"warping_error": 0.00003, "rand_error": 0.004, "pixel_error": 0.002, "v_rand": 0.01, "seg": 0.02}
FEW_STEPS = 5000  # of all comparisons on EM and HeLa


# --- headline recipes ----------


def em_test(seed: int, width: int = 32, steps: int = 12000) -> Experiment:
    """All 30 training slices, scored on the paper's own test slices (Table 1)."""
    return Experiment(
        data="isbi2012",
        split="all",
        test=True,
        width=width,
        optimiser="adam",
        fused=True,
        schedule="cosine",
        tile=380,
        steps=steps,
        seed=seed,
    )


def em_fold(fold: int, seed: int = 0, steps: int = 12000) -> Experiment:
    """The same recipe at width 16, one fold of six slices left out: scored on it, and on the test slices too."""
    return em_test(seed, width=16, steps=steps).replace(split="fold", fold=fold)


def em_inner(seed: int, steps: int) -> Experiment:
    """The inner split of fold 5 (train on slices 0 to 17, score on 18 to 23): is the training done?"""
    return em_fold(5, seed, steps).replace(split="inner", test=False)


TILES = 3000  # that each of `BATCHES` learns from
BATCHES = {  # SGD: a tile weighs rate / batch / (1 - momentum) in the long run, over 1 / (1 - momentum) steps
    "1 tile a step, momentum 0.99": {},
    "4 tiles, all else as it is": {"batch": 4},
    "4 tiles, 4 times the rate": {"batch": 4, "learning_rate": 0.004},
    "4 tiles, 16 times the rate, momentum 0.96": {"batch": 4, "learning_rate": 0.016, "momentum": 0.96},
}


def batches(arm: str) -> list[Experiment]:
    """The paper's optimiser with a larger batch, on the inner split of EM's fold 5: three seeds, equally many tiles."""
    changes = BATCHES[arm]
    base = Experiment(split="inner", width=16, tile=252, schedule="cosine", steps=TILES // changes.get("batch", 1))
    return [base.replace(seed=seed, **changes) for seed in SEEDS]


# Real images of nuclei under CC0 (book/own-images/README.md), by their pixels: those that the project holds, and the
# sets that they are from.
SHOWN_NUCLEI = "own-nuclei-47cbe34b288b8183"
NUCLEI = {"fluorescence": "own-nuclei-7c0770416e2b9084", "histology": "own-histology-01511ca21e635c78"}
NUCLEI_TRIALS = {  # on inner splits, what each changes in the first recipe; the median object is 50 px long if enlarged
    "as it is": {"fluorescence": {}, "histology": {}},
    "zoomed at random": {"fluorescence": {"zoom": 1.5}, "histology": {"zoom": 1.5}},
    "enlarged": {"fluorescence": {"scale": 1.9}, "histology": {"scale": 2.1}},
    "enlarged, zoomed": {"fluorescence": {"scale": 1.9, "zoom": 1.5}, "histology": {"scale": 2.1, "zoom": 1.5}},
}
NUCLEI_TRIAL_FOLDS = (1, 3)
NUCLEI_HOPED = {"fluorescence": 0.88, "histology": 0.79}  # F1 over five folds, as the protocol states


def own_nuclei() -> Experiment:
    """The network of the chapter on images of one's own: narrow, all else as `own.recipe` chooses for these images."""
    return own_fold(SHOWN_NUCLEI, 1, steps=4000).replace(width=8)


def own_fold(data: str, fold: int, steps: int = 8000) -> Experiment:
    """One fold of images of one's own, as `own.recipe` chooses for these images."""
    return Experiment(
        data=data,
        fold=fold,
        channels="rgb" if data == NUCLEI["histology"] else "grey",
        normalisation="percentiles",
        width=16,
        weights="borders",
        grey=0.3,
        flip=True,
        mean_of_flips=True,
        connectivity=8,
        optimiser="adam",
        fused=True,
        schedule="cosine",
        tile=380,
        steps=steps,
    )


def own_trials(arm: str) -> dict[str, list[Experiment]]:
    """A trial of `NUCLEI_TRIALS`, by set: a fold is left out, and the fold before it is scored."""
    return {
        name: [
            own_fold(data, fold, steps=3000).replace(split="inner", **NUCLEI_TRIALS[arm][name])
            for fold in NUCLEI_TRIAL_FOLDS
        ]
        for name, data in NUCLEI.items()
    }


BASE = {
    "dic-hela": {"scale": 0.5, "width": 16, "weights": "borders", "grey": 0.3, "flip": True, "steps": 10000},
    "phc-u373": {"width": 32, "weights": "borders", "grey": 0.3, "flip": True, "steps": 6000},
}
TRIALS = {  # on the inner split, what each changes in the base; the candidates for the recipe
    "dic-hela": {
        "half scale": {},
        "neither turned nor mirrored": {"rotate": False, "flip": False},
        "w0 = 50, sigma = 6 px": {"w0": 50.0, "sigma": 6.0},
        "with class balance": {"weights": "full"},
    },
    "phc-u373": {"6,000 steps": {}, "12,000 steps": {"steps": 12000}},
}
SHOWN = {  # further trials for the reader, no candidates
    "dic-hela": {"full scale": {"scale": 1.0}, "tile of 284 px": {"tile": 284}, "width 32": {"width": 32}},
    "phc-u373": {},
}
TRIAL_STEPS = 6000
# The candidate with the highest SEG on the inner split; a test holds this against the records.
CHOSEN = {"dic-hela": "half scale", "phc-u373": "12,000 steps"}


def cells(data: str, split: str, fold: int, seed: int = 0, **changes) -> Experiment:
    """The recipe of a cell set (Table 2): "thirds" of both videos, or "fold" (one video held out) with silver truth."""
    return _cells(data, split, fold, seed, TRIALS[data][CHOSEN[data]] | changes)


def _cells(data: str, split: str, fold: int, seed: int, changes: dict) -> Experiment:
    fields = {"tile": 380, "test": split == "fold"} | BASE[data] | changes
    return Experiment(
        data=data,
        split=split,
        fold=fold,
        optimiser="adam",
        fused=True,
        schedule="cosine",
        seed=seed,
        connectivity=8,
        mean_of_flips=fields["flip"],
        **fields,
    )


def cells_trials(data: str) -> dict[str, Experiment]:
    """The candidates on the inner split of the first third, from which the recipe of a cell set is chosen."""
    return {name: _trial(data, changes) for name, changes in TRIALS[data].items()}


def cells_shown(data: str) -> dict[str, Experiment]:
    """Further trials on the same split, for the reader."""
    return {name: _trial(data, changes) for name, changes in SHOWN[data].items()}


def _trial(data: str, changes: dict) -> Experiment:
    return _cells(data, "inner-thirds", 1, 0, {"steps": TRIAL_STEPS} | changes)


@dataclass(frozen=True)
class Doubled:
    """A headline recipe on its inner split, with its steps and with twice as many, three seeds each."""

    name: str
    metric: str
    short: tuple[Experiment, ...]
    long: tuple[Experiment, ...]


def doubled() -> list[Doubled]:
    """The three headline recipes (EM at width 16), in the order of the chapters: is their training done?"""
    steps = em_fold(1).steps
    arms = (tuple(em_inner(seed, many) for seed in SEEDS) for many in (steps, 2 * steps))
    found = [Doubled("EM, width 16", "v_rand", *arms)]
    for data, name in (("phc-u373", "U373"), ("dic-hela", "HeLa")):
        steps = cells(data, "thirds", 1).steps
        arms = (
            tuple(cells(data, "inner-thirds", 1, seed, steps=many) for seed in SEEDS) for many in (steps, 2 * steps)
        )
        found.append(Doubled(name, "seg", *arms))
    return found


# --- comparisons ----------

AUGMENTATIONS = {
    "none": {"elastic": 0.0, "rotate": False, "grey": 0.0},
    "rigid": {"elastic": 0.0},
    "full": {},
    "without dropout": {"dropout": 0.0},
}
FEW = (2, 6, 24)  # training slices


def few_slices(slices: int, choice: int) -> Experiment:
    """Width 16 on 2 or 6 of the 30 slices (five choices that share none), or on 24 (one fold left out)."""
    base = em_fold(choice, seed=choice, steps=FEW_STEPS)
    return base if slices == 24 else em_test(choice, 16, FEW_STEPS).replace(images=slices, choice=choice)


def augmentation(slices: int, arm: str) -> list[Experiment]:
    """An arm of the augmentation experiment: five choices of the slices, each with its own seed."""
    return [few_slices(slices, choice).replace(**AUGMENTATIONS[arm]) for choice in CHOICES]


EM_ARMS = {
    "full": {},
    "border term alone": {"weights": "borders"},
    "no weight map": {"weights": "none"},
    "no skip connections": {"skips": False},
    "PyTorch's initialisation": {"initialisation": "pytorch"},
}


def em_arm(arm: str) -> list[Experiment]:
    """An arm of a comparison on EM: 24 slices, each fold left out once, scored on the test slices."""
    return [few_slices(24, choice).replace(**EM_ARMS[arm]) for choice in CHOICES]


HELA_ARMS = {"full": "full", "border term alone": "borders", "no weight map": "none"}


def hela_arm(arm: str) -> list[Experiment]:
    """An arm of the comparison of weight maps on HeLa: trained on a fifth of both videos, scored on the rest."""
    return [
        cells("dic-hela", "parts", choice, seed=choice, steps=FEW_STEPS, weights=HELA_ARMS[arm]) for choice in CHOICES
    ]


SLIDING_WINDOW = {"variant": "n4", "width": 48, "tile": 158, "weights": "balanced", "steps": 8000}


def sliding_window() -> list[Experiment]:
    """The sliding window of Ciresan et al. on the folds of `em_arm`, with as much time."""
    return [few_slices(24, choice).replace(**SLIDING_WINDOW) for choice in CHOICES]


@dataclass(frozen=True)
class Primary:
    """A primary claim: two arms over five choices of training images, one metric, decided by `claims.verdict`."""

    claim: str
    metric: str  # its smallest effect worth having is DELTA[metric]
    having: tuple[Experiment, ...]  # what the paper argues for
    lacking: tuple[Experiment, ...]
    overlap: float  # left out / trained, where training sets overlap; 0 where they share nothing

    @property
    def delta(self) -> float:
        return DELTA[self.metric]


def primary_claims() -> list[Primary]:
    """The eight primary claims, in the protocol's order."""

    def claim(text: str, metric: str, having, lacking, overlap: float = 0.0) -> Primary:
        return Primary(text, metric, tuple(having), tuple(lacking), overlap)

    full, left_out = em_arm("full"), 6 / 24
    return [
        claim("Augmentation is essential with few images", "v_rand", augmentation(2, "full"), augmentation(2, "none")),
        claim(
            "Elastic deformation is the key concept of it", "v_rand", augmentation(2, "full"), augmentation(2, "rigid")
        ),
        claim("Dropout helps", "v_rand", augmentation(2, "full"), augmentation(2, "without dropout")),
        claim("The weight map helps, on EM", "v_rand", full, em_arm("no weight map"), left_out),
        claim("The weight map separates touching cells", "seg", hela_arm("full"), hela_arm("no weight map")),
        claim("Skip connections localise", "pixel_error", full, em_arm("no skip connections"), left_out),
        claim("The initialisation matters", "v_rand", full, em_arm("PyTorch's initialisation"), left_out),
        claim("Ahead of the sliding window", "warping_error", full, sliding_window(), left_out),
    ]
