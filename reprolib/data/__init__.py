"""Data sets as arrays (Sec. 4): the published ones, phantoms to stand in for them, and what of them is annotated."""

from reprolib.data.dataset import Dataset
from reprolib.data.published import download, present, verify
from reprolib.data.sets import frames, load, silver_truth, test_labels
from reprolib.data.sources import PHANTOM_OF, REAL, SOURCES
from reprolib.errors import MissingData

__all__ = [
    "PHANTOM_OF",
    "REAL",
    "SOURCES",
    "Dataset",
    "MissingData",
    "download",
    "frames",
    "load",
    "present",
    "silver_truth",
    "test_labels",
    "verify",
]
