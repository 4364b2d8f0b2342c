"""A Sphinx extension: what a code cell prints as a table or an interactive figure gets a number and a name.

The captions of tables stand in the cell's metadata, one for each table in order, where those of figures stand too:

    {"reprolib": {"tables": [{"name": "tab-scores", "caption": "Scores of five folds, in the order of *difficulty*."}]}}

A table written in Markdown gets its own by the directive ``table``. An interactive figure (``plots.interactive``) has a
caption already, and the metadata name it: {"reprolib": {"figure": "fig-thresholds"}}. Text refers to all of them by
{numref}`tab-scores`.

Pages outside of the numbered chapters count by a letter, so that nobody takes their Figure 2 for the paper's.
"""

from __future__ import annotations

import re
from html import unescape

from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser
from sphinx.transforms import SphinxTransform

from reprolib.errors import InputError


class TableCaptions(SphinxTransform):
    """Put each caption at the head of its table, before Sphinx collects what is numbered."""

    default_priority = 800  # SphinxDomains, which collects, has 850

    def apply(self, **kwargs) -> None:
        for cell in self.document.findall(nodes.container):
            wanted = cell.get("cell_metadata", {}).get("reprolib", {}).get("tables", [])
            if not wanted:
                continue
            tables = list(cell.findall(nodes.table))
            if len(tables) != len(wanted):
                names = ", ".join(one["name"] for one in wanted)
                raise InputError(f"{self.env.docname}: {len(tables)} tables, but {len(wanted)} captions ({names}).")
            for table, one in zip(tables, wanted, strict=True):
                table.insert(0, nodes.title("", "", *inline(one["caption"])))
                table["names"].append(nodes.fully_normalize_name(one["name"]))
                self.document.note_explicit_target(table)


class InteractiveFigures(SphinxTransform):
    """Make each figure that a cell prints as HTML one that Sphinx counts, with the caption that it brings along."""

    default_priority = TableCaptions.default_priority
    PRINTED = re.compile(r'<figure class="([\w-]+)">(.*)<figcaption>(.*?)</figcaption></figure>', re.DOTALL)

    def apply(self, **kwargs) -> None:
        for cell in list(self.document.findall(nodes.container)):
            name = cell.get("cell_metadata", {}).get("reprolib", {}).get("figure")
            if not name:
                continue
            printed = [(raw, found) for raw in cell.findall(nodes.raw) if (found := self.PRINTED.search(raw.astext()))]
            if len(printed) != 1:
                raise InputError(f"{self.env.docname}: {len(printed)} interactive figures where {name} is one.")
            ((raw, found),) = printed
            kind, shown, caption = found.groups()
            figure = nodes.figure("", nodes.raw("", shown, format="html"), classes=[kind])
            figure += nodes.caption("", unescape(caption))
            figure["names"].append(nodes.fully_normalize_name(name))
            raw.replace_self(figure)
            figure["classes"] = [kind]  # not those of plain output, which the theme colours
            self.document.note_explicit_target(figure)


def inline(text: str) -> list[nodes.Node]:
    """A line of Markdown as nodes: emphasis, code and $mathematics$."""
    silent = {"myst_enable_extensions": ["dollarmath"], "doctitle_xform": False}
    paragraph = publish_doctree(text, parser=Parser(), settings_overrides=silent)[0]
    return [child.deepcopy() for child in paragraph]


def letter(app, env) -> list[str]:
    """Figure 1, 2 ... of an unnumbered page become S.1, S.2 ... if its title begins with S (but for "The")."""
    for page, kinds in env.toc_fignumbers.items():
        initial = env.titles[page].astext().removeprefix("The ")[0].upper()
        for numbers in kinds.values():
            if all(len(number) == 1 for number in numbers.values()):
                for count, name in enumerate(numbers, start=1):
                    numbers[name] = (initial, count)
    return []


def setup(app) -> dict:
    app.add_transform(TableCaptions)
    app.add_transform(InteractiveFigures)
    app.connect("env-get-updated", letter, priority=900)  # Sphinx itself counts at 500
    return {"parallel_read_safe": True}
