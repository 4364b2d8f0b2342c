"""Values from text, as the command line and papermill hand them over."""

from __future__ import annotations

import pytest

from reprolib.parsing import parse


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("true", bool, True), ("Yes", bool, True), (" 1 ", bool, True), ("FALSE", bool, False), ("no", bool, False),
        ("0", bool, False), ("16", int, 16), ("-3", int, -3), ("1e-3", float, 0.001), ("16", float, 16.0),
        ("16", str, "16"), ("", str, ""), ("true", str, "true"),
    ],
)  # fmt: skip
def test_a_value_has_the_type_that_is_asked_for(text, kind, value):
    found = parse(text, kind)
    assert found == value and type(found) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [("maybe", bool), ("", bool), ("2", bool), ("1.5", int), ("true", int), ("", int), ("one", float), ("", float)],
)
def test_what_is_no_such_value_is_refused(text, kind):
    with pytest.raises(ValueError):
        parse(text, kind)


def test_a_word_that_is_neither_true_nor_false_is_named():
    with pytest.raises(ValueError, match=r"^'maybe' is neither true nor false$"):
        parse("maybe", bool)
