"""Recorded numbers: compared where they can be computed, shown where they cannot, never silently stale."""

from __future__ import annotations

import json

import pytest

from reprolib import data
from reprolib.plan import facts

NUMBERS = {
    "score": 0.125,
    "count": 30,
    "names": ["a", "b"],
    "nested": {"rows": [1.5, 2.5], "flag": True, "none": None},
}


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """A folder of facts of its own, with the real data absent, and nothing published."""
    monkeypatch.setattr(facts, "FOLDER", tmp_path)
    monkeypatch.setattr(data, "present", lambda name, folder=None: False)
    monkeypatch.delenv(facts.WRITE, raising=False)
    return tmp_path


def publish(monkeypatch, numbers: dict, section: str = "s", **options) -> dict:
    with monkeypatch.context() as patch:
        patch.setenv(facts.WRITE, "1")
        patch.setattr(data, "present", lambda name, folder=None: True)
        return facts.recorded("ch", section, lambda: numbers, **options)


def never() -> dict:
    raise AssertionError("nothing should be computed here")


def test_without_a_record_the_computed_numbers_are_shown_and_nothing_is_written(book):
    assert facts.recorded("ch", "s", lambda: NUMBERS) == NUMBERS
    assert list(book.iterdir()) == []


def test_published_numbers_are_shown_where_the_data_is_not(book, monkeypatch):
    publish(monkeypatch, NUMBERS, needs="isbi2012")
    assert facts.recorded("ch", "s", never, needs="isbi2012") == NUMBERS
    assert [path.name for path in book.iterdir()] == ["ch.json"]


def test_where_the_data_is_the_numbers_are_computed_anew_and_compared(monkeypatch):
    publish(monkeypatch, NUMBERS, needs="isbi2012")
    monkeypatch.setattr(data, "present", lambda name, folder=None: name == "isbi2012")
    calls = []
    assert facts.recorded("ch", "s", lambda: calls.append(1) or NUMBERS, needs="isbi2012") == NUMBERS
    assert calls == [1]
    with pytest.raises(
        AssertionError,
        match=r"^ch, s: recorded and computed numbers differ: score: 0.125 recorded, 0.126 computed$",
    ):
        facts.recorded("ch", "s", lambda: NUMBERS | {"score": 0.126}, needs="isbi2012")


def test_within_the_tolerance_the_recorded_numbers_are_shown(monkeypatch):
    publish(monkeypatch, NUMBERS)
    near = NUMBERS | {"score": 0.12504}
    assert facts.recorded("ch", "s", lambda: near)["score"] == 0.125
    with pytest.raises(AssertionError, match="score"):
        facts.recorded("ch", "s", lambda: near, tolerance=1e-5)


@pytest.mark.parametrize(
    ("known", "new", "differs"),
    [
        (1000.0, 1000.05, False), (1000.0, 1000.2, True), (0.5, 0.50005, False), (0.5, 0.5002, True),
        (0.0, 5e-5, False),
        (0.0, 2e-4, True), (3, 3.0, False), (3, 4, True), ("a", "a", False), ("a", "b", True),
        (None, 0, True),
        ([1, 2], [1, 2, 3], True), ([1, [2]], [1, [2.5]], True), ({"a": 1}, {"b": 1}, True),
        ({"a": 1}, [1], True), (True, False, True),
        ("1", 1, True),
    ],
)  # fmt: skip
def test_numbers_differ_by_more_than_the_tolerance_relative_or_below_one_absolute(known, new, differs):
    assert bool(list(facts.differences_of(known, new, 1e-4))) is differs
    assert bool(list(facts.differences_of(new, known, 1e-4))) is differs


def test_each_difference_is_named_by_its_place():
    known = {"a": {"b": [1, {"c": 2}]}, "gone": 1, "same": 5}
    new = {"a": {"b": [1, {"c": 3}]}, "come": 1, "same": 5}
    assert list(facts.differences_of(known, new, 1e-4)) == [
        "a.b[1].c: 2 recorded, 3 computed", "come is only in the computation", "gone is only in the record",
    ]  # fmt: skip


def test_other_parameters_are_not_compared_but_the_same_ones_are(monkeypatch):
    publish(monkeypatch, NUMBERS, parameters={"seed": 0})
    other = NUMBERS | {"score": 9.0}
    assert facts.recorded("ch", "s", lambda: other, parameters={"seed": 1}) == other
    with pytest.raises(AssertionError, match="score"):
        facts.recorded("ch", "s", lambda: other, parameters={"seed": 0})


def test_parameters_that_json_writes_differently_are_still_the_same(monkeypatch):
    parameters = {"angles": (0, 90), 3: "x"}  # a tuple comes back as a list, a number as a name
    publish(monkeypatch, NUMBERS, parameters=parameters, needs="isbi2012")
    assert facts.recorded("ch", "s", never, parameters=parameters, needs="isbi2012") == NUMBERS
    monkeypatch.setattr(data, "present", lambda name, folder=None: True)
    with pytest.raises(AssertionError, match="score"):
        facts.recorded("ch", "s", lambda: NUMBERS | {"score": 9.0}, parameters=parameters, needs="isbi2012")


def test_what_is_neither_recorded_nor_computable_is_a_lookup_error(monkeypatch):
    with pytest.raises(LookupError, match=r"no record .* isbi2012 is not here"):
        facts.recorded("ch", "s", never, needs="isbi2012")
    publish(monkeypatch, NUMBERS, needs="isbi2012", parameters={"seed": 0})
    for section, parameters in (("s", {"seed": 1}), ("other", {"seed": 0})):
        with pytest.raises(LookupError, match=f"ch, {section}: no record"):
            facts.recorded("ch", section, never, needs="isbi2012", parameters=parameters)


def test_publishing_one_section_leaves_the_others(book, monkeypatch):
    publish(monkeypatch, {"x": 1}, section="one")
    publish(monkeypatch, {"x": 2}, section="two")
    publish(monkeypatch, {"x": 3}, section="one")
    assert facts.recorded("ch", "two", lambda: {"x": 2}) == {"x": 2}
    stored = json.loads((book / "ch.json").read_text())
    assert {name: entry["numbers"]["x"] for name, entry in stored.items()} == {"one": 3, "two": 2}
    assert list(stored) == ["one", "two"]


def test_publishing_without_the_data_changes_nothing(book, monkeypatch):
    publish(monkeypatch, NUMBERS, needs="isbi2012")
    before = (book / "ch.json").read_bytes()
    monkeypatch.setenv(facts.WRITE, "1")
    assert facts.recorded("ch", "s", never, needs="isbi2012") == NUMBERS
    assert (book / "ch.json").read_bytes() == before


def test_nan_is_no_fact(book, monkeypatch):
    with pytest.raises(ValueError):
        publish(monkeypatch, {"x": float("nan")})
    assert list(book.iterdir()) == []


@pytest.mark.parametrize("real", data.REAL)
def test_figures_come_from_the_real_data_where_it_is_else_from_its_phantom(monkeypatch, real):
    assert facts.source(real) == data.PHANTOM_OF[real]
    assert facts.source(real, "phantom-em") == "phantom-em"
    monkeypatch.setattr(data, "present", lambda name, folder=None: name == real)
    assert facts.source(real) == real


def test_where_an_optional_part_of_the_data_is_missing_the_record_is_shown(monkeypatch):
    publish(monkeypatch, NUMBERS, needs="isbi2012")
    monkeypatch.setattr(data, "present", lambda name, folder=None: True)

    def lacks_the_test_labels():
        raise data.MissingData("isbi2012 lacks test-labels.tif")

    assert facts.recorded("ch", "s", lacks_the_test_labels, needs="isbi2012") == NUMBERS
    with pytest.raises(LookupError, match="no record for these parameters"):
        facts.recorded("ch", "another", lacks_the_test_labels, needs="isbi2012")
