"""What the paper reports (Sec. 4): Table 1 and its own figures of Table 2."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A row of Table 1: the group, its rank (None: not ranked), and the three errors as the paper prints them."""

    group: str
    rank: int | None
    warping_error: float
    rand_error: float
    pixel_error: float


TABLE_1 = (  # as of 6 March 2015, ranked by warping error; the paper leaves out the ranks 5 to 9
    Entry("human values", None, 0.000005, 0.0021, 0.0010),
    Entry("u-net", 1, 0.000353, 0.0382, 0.0611),
    Entry("DIVE-SCI", 2, 0.000355, 0.0305, 0.0584),
    Entry("IDSIA", 3, 0.000420, 0.0504, 0.0613),
    Entry("DIVE", 4, 0.000430, 0.0545, 0.0582),
    Entry("IDSIA-SCI", 10, 0.000653, 0.0189, 0.1027),
)
PAPER_SEG = {"phc-u373": 0.9203, "dic-hela": 0.7756}  # u-net in Table 2, on the challenge's hidden videos
