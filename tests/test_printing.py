"""Numbers and tables in print."""

from __future__ import annotations

from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser

from reprolib import model
from reprolib.model import UNet, two_convolutions
from reprolib.printing import code, markdown, number, plain, spread, text_table


def test_a_table_sets_numbers_to_the_right():
    assert markdown(("name", "a"), [("x", "1")]) == "| name | a |\n| --- | --: |\n| x | 1 |"


def test_a_value_in_a_page_is_text_whatever_it_holds():
    value = "<b>|`x`| [a](b) **c** $d$ \\e {doc}`f`\n# g &lt;"
    page = publish_doctree(markdown(("a", "b"), [(plain(value), "1")], words=2), parser=Parser())
    (table,) = page.findall(nodes.table)
    cells = [cell.astext() for cell in table.findall(nodes.entry)]
    assert cells == ["a", "b", " ".join(value.split()), "1"]
    assert {type(part) for cell in table.findall(nodes.entry) for part in cell.findall()} <= {
        nodes.entry,
        nodes.paragraph,
        nodes.Text,
    }
    assert (
        plain("Intel(R) Xeon(R) @ 2.20GHz, mean_of_flips = True") == "Intel(R) Xeon(R) @ 2.20GHz, mean_of_flips = True"
    )


def test_a_spread_is_mean_and_deviation_and_one_value_stands_by_itself():
    assert spread((1.0, 3.0), 1) == "2.0 ± 1.4" and spread((1.0,), 2) == "1.00"
    assert spread((-0.0001, 0.0001), 2) == "0.00 ± 0.00"


def test_a_number_has_a_true_minus_and_none_before_a_zero():
    assert number(-1.5, 1) == "\u22121.5"
    assert number(0.04, 1, "+") == "0.0" and number(0.16, 1, "+") == "+0.2"


def test_a_text_table_sets_words_to_the_left_and_numbers_to_the_right():
    rows = [("image", "objects", "SEG", "what"), ("a", "12", "0.5", "as is"), ("frame10", "3", "\u22121.25", "")]
    assert text_table(rows) == [
        "image    objects    SEG  what",
        "a             12    0.5  as is",
        "frame10        3  \u22121.25",
    ]


def test_a_column_with_one_word_in_it_is_words_and_empty_cells_are_neither():
    assert text_table([("a", "bb"), ("1", "22"), ("x", "")]) == ["a  bb", "1  22", "x"]
    assert text_table([("head", "n")]) == ["head  n"] and text_table([("", "9"), ("", "10")]) == ["   9", "  10"]


def test_the_code_of_a_function_is_the_one_that_runs_without_its_docstring():
    shown = code(two_convolutions, UNet.forward)
    blocks = [block.removeprefix("python\n") for block in shown.split("```") if block.strip()]
    assert [block.split("\n")[0] for block in blocks] == ["# reprolib/model.py", "# reprolib/model.py, UNet"]
    there = vars(model).copy()
    exec(blocks[0], there)
    made = there["two_convolutions"](1, 2)
    assert str(made) == str(two_convolutions(1, 2)) and '"""' not in shown and "self._check(x)" in blocks[1]
