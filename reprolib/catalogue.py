"""The experiments that the book publishes, by name. Their records lie in ``runs/``."""

from __future__ import annotations

from reprolib.experiment import Experiment

EM_FOLDS = (1, 2, 3, 4, 5)


def em(fold: int) -> Experiment:
    """The headline recipe for the EM slices (Sec. 4, Table 1) at width 16; its departures from the paper.

    Optimiser and learning rate were chosen with an eye on the inner split of fold 5 (train on slices 0-17, score on
    18-23; see ``em_inner`` and chapter 06); w0 is the paper's. Steps, tile and width are what two processor cores can
    train within the hour.
    """
    return Experiment(
        data="isbi2012",
        fold=fold,
        width=16,
        optimiser="adam",
        learning_rate=1e-3,
        schedule="cosine",
        tile=380,
        steps=3000,
    )


def em_inner() -> dict[str, Experiment]:
    """The trials on the inner split of fold 5 that the headline recipe was chosen from."""
    base = em(5).replace(split="inner", steps=700)
    return {
        "Adam, rate 0.001": base,
        "Adam, rate 0.002": base.replace(learning_rate=2e-3),
        "Adam, rate 0.001, w0 = 5": base.replace(w0=5.0),
        "SGD, momentum 0.99, rate 0.001": base.replace(optimiser="sgd"),
    }


def live(data: str = "phantom-em", steps: int = 60, seed: int = 0) -> Experiment:
    """A network small enough to train within a minute in front of the reader (chapter 06)."""
    return Experiment(
        data=data,
        fold=1,
        width=8,
        optimiser="adam",
        learning_rate=2e-3,
        schedule="cosine",
        tile=204,
        steps=steps,
        seed=seed,
    )
