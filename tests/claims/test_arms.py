"""The arms of a comparison: each row is the mean and the range over the choices, of the records of that arm."""

from __future__ import annotations

import invented
import pytest

from reprolib.claims import arms
from reprolib.evaluation.metric import ISBI2012, V_RAND
from reprolib.evaluation.scores import AtThreshold, Scores
from reprolib.plan import recipes
from reprolib.runs import records


@pytest.fixture
def runs(monkeypatch):
    """Two arms of five choices: V_Rand 0.5 to 0.9 without, 0.1 higher with; 0.99 on the training slices."""
    found = {}
    for gain, arm in ((0.0, "none"), (0.1, "full")):
        for k, run in enumerate(recipes.augmentation(2, arm)):
            curves = {metric.key: invented.curve(0.5 + 0.1 * k + gain) for metric in ISBI2012}
            scores = Scores({"v_rand": AtThreshold(0.99, 0.5)}, {}, test=invented.test_slices(curves))
            found[run] = invented.record(run, scores)
    monkeypatch.setattr(records, "obtained", lambda wanted: [found[one] for one in wanted])
    return {arm: recipes.augmentation(2, arm) for arm in ("none", "full")}


def test_scores_are_in_the_order_of_the_choices(runs):
    found = arms.scores(runs, V_RAND)
    assert found["none"] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])
    assert found["full"] == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0])


def test_a_row_has_the_mean_and_the_range_of_the_training_and_of_the_test_slices(runs):
    lines = arms.table(runs, V_RAND).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    column = cells[0].index("V_Rand")
    assert cells[0][1] == "V_Rand, training slices" and len(cells) == 4
    assert cells[2][0] == "none" and cells[2][1] == "0.990<br>(0.990 to 0.990)"
    assert cells[2][column] == "0.700<br>(0.500 to 0.900)" and cells[3][column] == "0.800<br>(0.600 to 1.000)"
