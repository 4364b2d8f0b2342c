"""Numbers and tables in print."""

from __future__ import annotations

from reprolib.printing import markdown, number, spread


def test_a_table_sets_numbers_to_the_right():
    assert markdown(("name", "a"), [("x", "1")]) == "| name | a |\n| --- | --: |\n| x | 1 |"


def test_a_spread_is_mean_and_deviation_and_one_value_stands_by_itself():
    assert spread((1.0, 3.0), 1) == "2.0 ± 1.4" and spread((1.0,), 2) == "1.00"
    assert spread((-0.0001, 0.0001), 2) == "0.00 ± 0.00"


def test_a_number_has_a_true_minus_and_none_before_a_zero():
    assert number(-1.5, 1) == "\u22121.5"
    assert number(0.04, 1, "+") == "0.0" and number(0.16, 1, "+") == "+0.2"
