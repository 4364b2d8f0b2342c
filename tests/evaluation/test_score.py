"""What a record keeps of a trained network: held-out scores, points of the curve, the second test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_train import SMALL, tiny
from torch import nn

from reprolib import data, train
from reprolib.evaluation import cells, ctc, isbi2012, prediction, score
from reprolib.evaluation.metric import ISBI2012
from reprolib.experiment import Experiment


class Bright(nn.Module):
    """Cell where the image is brighter than its mean: a stand-in for a trained network."""

    def forward(self, x):
        logit = x[..., 92:-92, 92:-92] * (1 + 0.2 * (x[..., 92:-92, 91:-93] > 0))  # no mirror image of itself
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def many(count: int = 9, name: str = "phantom-dic") -> data.Dataset:
    """So many small noisy images: two are fold 1, the others fold 2."""
    rng = np.random.default_rng(1)
    instances = np.zeros((count, 40, 40), np.int32)
    for k in range(count):
        instances[k, 4 : 18 + k, 4:16] = 1
        instances[k, 6:30, 20:36] = 2
    grey = np.where(instances > 0, 170, 70) + rng.normal(0, 45, instances.shape)
    images, ignore = grey.clip(0, 255).round().astype(np.uint8), np.zeros(instances.shape, bool)
    names = tuple(f"frame {k}" for k in range(count))
    return data.Dataset(name, images, instances, ignore, names, ((0, 1), tuple(range(2, count))), {}, True)


# --- points of the curve


@pytest.mark.parametrize("name", ["phantom-dic", "phantom-em"])
def test_a_point_of_the_curve_scores_the_first_middle_and_last_image_of_each_part_at_one_half(name):
    experiment, dataset, model = SMALL.replace(data=name, fold=1), many(name=name), Bright()
    point = score.curve_point(experiment, model, dataset)
    assert point.keys() == {"training", "held_out"}
    for part, few in (("training", [2, 5, 8]), ("held_out", [0, 1])):  # of seven training images, and of two
        probability = prediction.predict_cells(model, dataset.images[few])
        if name == "phantom-em":
            labels = (dataset.instances[few] > 0).astype(np.uint8)
            assert point[part].keys() == {metric.key for metric in ISBI2012}
            assert point[part]["pixel_error"] == pytest.approx(
                isbi2012.pixel_error(labels, probability, (0.5,)).score, rel=1e-5
            )
        else:
            result = ctc.instances(probability, 0.5)
            wanted = {
                "seg": ctc.seg(dataset.instances[few], result).score,
                "foreground_iou": ctc.foreground_iou(dataset.instances[few], result),
            }
            assert point[part] == pytest.approx(wanted, rel=1e-5) and wanted["foreground_iou"] > 0


def test_with_no_image_held_out_the_curve_has_the_training_images_alone():
    point = score.curve_point(SMALL.replace(split="all", fold=5), Bright(), many())
    assert point.keys() == {"training"}


def test_the_curve_is_scored_at_the_scale_of_the_experiment():
    experiment, dataset, model = SMALL.replace(scale=0.5), many(), Bright()
    probability = prediction.predict_cells(model, dataset.images[:2], scale=0.5)
    found = score.curve_point(experiment.replace(fold=1), model, dataset)["held_out"]
    wanted = ctc.foreground_iou(dataset.instances[:2], ctc.instances(probability, 0.5))
    assert found["foreground_iou"] == pytest.approx(wanted, rel=1e-5)


# --- scores


def test_a_training_on_all_images_has_no_held_out_scores():
    scores = score.score(SMALL.replace(split="all", fold=5), Bright(), tiny(), rotations=True)
    assert scores == type(scores)(training=scores.training)
    assert scores.training.keys() == {"seg", "foreground_iou"}


def test_cells_of_a_video_are_scored_one_by_one_and_by_a_watershed():
    model, dataset = Bright(), tiny()
    scores = score.score(SMALL, model, dataset)
    probability = prediction.predict_cells(model, dataset.images[2:])
    gold, ignore = dataset.instances[2:], dataset.ignore[2:]
    assert scores.cells == cells.gold_cells(("c",), gold, probability, ignore)
    assert scores.watershed == cells.watershed_scores(("c",), gold, probability, ignore)
    assert [(cell.gold, cell.lost) for cell in scores.cells] == [(1, "merged"), (2, "merged")]
    assert len(scores.watershed) == 9


@pytest.mark.parametrize("changes", [{"connectivity": 8}, {"mean_of_flips": True}, {"scale": 0.5}])
def test_scores_are_those_of_the_experiments_connectivity_flips_and_scale(changes):
    experiment, dataset, model = SMALL.replace(fold=1, **changes), many(), Bright()
    found = score.score(experiment, model, dataset).held_out
    probability = prediction.predict_cells(
        model, dataset.images[:2], scale=experiment.scale, flips=experiment.mean_of_flips
    )
    for row in found["seg"].rows:
        result = ctc.instances(probability, row["threshold"], 0, experiment.connectivity)
        assert row["seg"] == ctc.seg(dataset.instances[:2], result).score
    assert found["seg"].score > 0.3 and found != score.score(SMALL.replace(fold=1), model, dataset).held_out


# --- the second test


@pytest.fixture
def small_test(monkeypatch):
    """Test slices and a video with silver truth that are small; the network's answer is near to their labels."""
    rng = np.random.default_rng(2)
    cells = np.kron(np.arange(12).reshape(3, 4), np.ones((40, 30), int))
    instances = np.stack([cells, np.rot90(cells, 2)]).astype(np.int32)
    inside = instances > 0
    inside[:, ::20] = inside[:, :, ::15] = False
    images = rng.integers(0, 256, instances.shape).astype(np.uint8)
    probability = np.clip(0.1 + 0.7 * inside + rng.normal(0, 0.15, inside.shape), 0, 1).astype(np.float32)
    asked = []

    def predict_cells(model, given, report=None, rotations=(0.0,), scale=1.0, flips=False, normalisation=""):
        assert given is images and normalisation == "standard"
        asked.append((tuple(rotations), scale, flips))
        return probability if len(rotations) == 1 else probability**2

    monkeypatch.setattr(prediction, "predict_cells", predict_cells)
    monkeypatch.setattr(score, "TEST_ROWS", (20, 110))
    monkeypatch.setattr(data, "frames", lambda name, part: images)
    monkeypatch.setattr(data, "test_labels", lambda: np.where(inside, 255, 0).astype(np.uint8)[:, 20:110])
    monkeypatch.setattr(data, "silver_truth", lambda name, video: instances)
    return asked, inside, instances, probability


def test_test_slices_are_scored_in_their_complete_rows_straight_and_rotated(small_test):
    asked, inside, _, probability = small_test
    experiment = Experiment(test=True, mean_of_flips=True, scale=0.5)
    found = score.test_slices(experiment, None, rotations=True)
    assert found.rows == (20, 110) and len(found.labels) == 64
    assert [views for views, *_ in asked] == [(0.0,), score.SEVEN_ROTATIONS]
    assert all(options == [0.5, True] for _, *options in asked)
    for view, values in ((found.straight, probability), (found.rotated, probability**2)):
        wanted = isbi2012.evaluate_stack(inside[:, 20:110].astype(np.uint8), values[:, 20:110].copy())
        for metric, result in wanted.items():
            assert view.curves[metric].score == result.score
            assert [row["threshold"] for row in view.curves[metric].rows] == list(isbi2012.THRESHOLDS)
        assert [image.name for image in view.images] == ["test slice 00", "test slice 01"]
    assert found.straight != found.rotated
    assert score.test_slices(experiment, None).rotated is None


def test_silver_truth_scores_every_frame_with_the_releases_smallest_cell(small_test):
    _, _, instances, probability = small_test
    found = score.silver(Experiment(data="dic-hela", fold=2, test=True, connectivity=8), None)
    assert found.curves.keys() == {"seg", "foreground_iou"} and len(found.watershed) == 9
    for row in found.curves["seg"].rows:
        result = ctc.instances(probability, row["threshold"], 501, 8)
        assert row["seg"] == row["seg 02"] == ctc.seg(instances, result).score


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "dic-hela", "split": "thirds", "fold": 1}, "held out .split=fold., not split=thirds"),
        ({"data": "dic-hela", "split": "all"}, "not split=all"),
        ({"data": "phantom-dic", "fold": 2}, "made from a seed and has no parts"),
        ({"data": "own-cells"}, "no data set 'own-cells'"),
    ],
)
def test_what_has_no_second_test_is_refused_before_any_step_is_trained(changes, message, monkeypatch, tmp_path):
    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "run_steps", lambda *a, **k: pytest.fail("it trains first"))
    experiment = Experiment(test=True, **changes)
    with pytest.raises(ValueError, match=message):
        train.train(experiment, "cpu", None, dataset=tiny(experiment.data))


def test_missing_test_labels_are_told_before_any_step_is_trained(monkeypatch, tmp_path):
    def missing(folder=None):
        raise data.MissingData("the labels are not here")

    monkeypatch.setenv("REPROLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "frames", lambda name, part: None)
    monkeypatch.setattr(data, "test_labels", missing)
    monkeypatch.setattr(train, "run_steps", lambda *a, **k: pytest.fail("it trains first"))
    with pytest.raises(data.MissingData, match="the labels are not here"):
        train.train(Experiment(test=True), "cpu", None, dataset=tiny("isbi2012"))


@pytest.mark.realdata("isbi2012")
def test_the_test_slices_labels_score_perfectly_against_themselves():
    images, labels = score.second_test(Experiment(test=True))
    assert images.shape == (30, 512, 512) and labels.shape == (30, 446, 512)
    result = isbi2012.pixel_error(labels[:2], (labels[:2] > 0).astype(np.float32), (0.5,))
    assert result.score == 0
    light, dark = (images[:, 66:][labels == value].mean() for value in (255, 0))
    assert light - dark > 30  # images and labels belong together
