"""The published data sets of the paper (Sec. 4): where they come from, what they hold, and on which terms.

Nothing of them is shipped with this project. `reprolib.files` finds, checks and fetches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from reprolib.errors import InputError, nearest

PHANTOM_OF = {"isbi2012": "phantom-em", "phc-u373": "phantom-phc", "dic-hela": "phantom-dic"}
REAL = tuple(PHANTOM_OF)


class Pixels(NamedTuple):
    """What a file (in pages) or a folder (in frames, by name) must hold."""

    count: int  # of pages or frames
    dtype: str
    sha256: str  # of the stacked pixels: little-endian, C order
    needed: bool = True
    numbers: tuple[int, ...] | None = None  # of the frames, where they are not 0, 1, 2...
    rows: tuple[int, int] | None = None  # the hash is that of these rows, first and last + 1, of each page


@dataclass(frozen=True)
class Source:
    """Where a set comes from, what it holds and on which terms it may be used."""

    folders: tuple[str, ...]  # its name below the data folder; others that hand-placed copies may bear
    address: str  # of the archive
    verified: bool  # True once a download from this address has been checked against the hashes
    page: str
    axes: str
    labels: str
    terms: str
    cite: tuple[str, ...]
    size: tuple[int, int]  # rows, columns of every array
    arrays: dict[str, Pixels]


CTC_TERMS = (
    "Publications must cite the challenge's Nature Methods paper and acknowledge the challenge as source. "
    "A submission or a report of results needs no consent; other public scientific use needs the data "
    "providers' permission, commercial use that of the organisers and the providers."
)
CTC_LABELS = (
    "SEG: gold masks, 0 = background, one number per cell; TRA: one small marker per cell, numbered otherwise; "
    "ST: silver truth, made by computers for every frame, later than the paper"
)
CTC_CITE = (
    "Ulman et al. 2017, Nat. Methods 14:1141-1152, doi:10.1038/nmeth.4473",
    "Maska et al. 2023, Nat. Methods 20:1010-1020, doi:10.1038/s41592-023-01879-y",
)
CTC_ADDRESS = "https://data.celltrackingchallenge.net/training-datasets"
CTC_PAGE = "https://celltrackingchallenge.net/2d-datasets/"

# The labels of the 30 test slices of ISBI 2012. They were secret until the challenge's server was closed; its archive
# holds them now. What is published here is the hash of rows 66 to 511, which were recovered from another project's
# lossless pictures of them: the rows above are partly hidden there by a caption.
TEST_LABELS = ("test-labels.tif", "test-labels-recovered.tif")  # the archive's own file, or the recovered one
TEST_ROWS = (66, 512)
TEST_LABELS_SHA256 = "74efe8ca8efd17583a360ba20da25c4c55e699d24dc67e98401a670a6f20cf78"
TEST_LABELS_BLOB = "0d6427fdfe7bacaa91bdc3d930aab31331b62d43"  # git's id of the archive's file

SOURCES = {
    "isbi2012": Source(
        folders=("isbi2012", "ISBI-2012-challenge"),
        address="https://downloads.imagej.net/ISBI-2012-challenge.zip",
        verified=False,
        page="https://imagej.net/events/isbi-2012-segmentation-challenge",
        axes="slice (50 nm), row (4 nm), column (4 nm)",
        labels="255 = inside of a cell, 0 = membrane; 127 = not known (in the recovered test labels alone)",
        terms="Free for making or testing non-commercial segmentation software; publications must cite "
        "TrakEM2 and Cardona et al. 2010.",
        cite=(
            "Cardona et al. 2010, PLoS Biol. 8(10):e1000502, doi:10.1371/journal.pbio.1000502",
            "Arganda-Carreras et al. 2015, Front. Neuroanat. 9:142, doi:10.3389/fnana.2015.00142",
        ),
        size=(512, 512),
        arrays={
            "train-volume.tif": Pixels(30, "uint8", "200da3d452d726e6c9ca1ce04b869d4edb727320d23b516d01cce707dc8c4760"),
            "train-labels.tif": Pixels(30, "uint8", "a7cb64000a1a7e542682927e19c91339f58f9f178e0bcce4e207371116f0ca36"),
            "test-volume.tif": Pixels(
                30, "uint8", "1b58fa7ec1d0ff9d39a855622db3ff66a97863036339b0d04be51b2f5a99b0e9", False
            ),
            **dict.fromkeys(TEST_LABELS, Pixels(30, "uint8", TEST_LABELS_SHA256, needed=False, rows=TEST_ROWS)),
        },
    ),
    "phc-u373": Source(
        folders=("PhC-C2DH-U373",),
        address=f"{CTC_ADDRESS}/PhC-C2DH-U373.zip",
        verified=False,
        page=CTC_PAGE,
        axes="frame, row, column",
        labels=CTC_LABELS,
        terms=CTC_TERMS + " Provider: Dr. S. Kumar, University of California at Berkeley.",
        cite=CTC_CITE,
        size=(520, 696),
        arrays={
            "01": Pixels(115, "uint8", "98d52367e53d19ceeb1470244f7899d4b20f184bafdea503ac037153b92598a7"),
            "01_GT/SEG": Pixels(
                15,
                "uint16",
                "9596bd2b469a4e83f965c7d080756804e037dfd45ccc33d0c14d109e45cd7a64",
                numbers=(1, 5, 6, 7, 21, 49, 59, 67, 72, 75, 92, 96, 100, 102, 112),
            ),
            "01_GT/TRA": Pixels(115, "uint16", "7a1078dacba1b1341c8d3989866543cbf14993682c1f4a355df53b2754ef9a78"),
            "01_ST/SEG": Pixels(
                115, "uint16", "6d0f69897494e506e60ec11ff9bf4ad99159abd6b2af54ddf7c2775a4bd58cb1", False
            ),
            "02": Pixels(115, "uint8", "864d177d5c94c1f33d1e14c3ab07b0d71d2396443a333ceef451027ad4b15e41"),
            "02_GT/SEG": Pixels(
                19,
                "uint16",
                "82e6b1d3e42ee45595de5969b70ac346a0a2f5a2a1b7ab7df344ca205ac31d83",
                numbers=(10, 17, 19, 20, 22, 26, 35, 36, 41, 49, 51, 52, 59, 74, 77, 85, 92, 106, 112),
            ),
            "02_GT/TRA": Pixels(115, "uint16", "8782738501235d296e01fc2daaf3be9558f91e6912085125f1341b0a2a17957a"),
            "02_ST/SEG": Pixels(
                115, "uint16", "ca24edda25f22202853e0714d47737a82814172802af7119cc2549e9b23839ff", False
            ),
        },
    ),
    "dic-hela": Source(
        folders=("DIC-C2DH-HeLa",),
        address=f"{CTC_ADDRESS}/DIC-C2DH-HeLa.zip",
        verified=False,
        page=CTC_PAGE,
        axes="frame, row, column",
        labels=CTC_LABELS,
        terms=CTC_TERMS + " Provider: Dr. G. van Cappellen, Erasmus Medical Center, Rotterdam.",
        cite=CTC_CITE,
        size=(512, 512),
        arrays={
            "01": Pixels(84, "uint8", "eb2aeb4c706de3826ce27067ab5ab4db557dc5cf383ffa5a655495b5b59bb890"),
            "01_GT/SEG": Pixels(
                9,
                "uint16",
                "9df6c4e57a4b10ea7c07670cbbb31eca579a0ac8ad1682d79944b6db7b0ddeb1",
                numbers=(2, 5, 21, 31, 33, 34, 39, 54, 67),
            ),
            "01_GT/TRA": Pixels(84, "uint16", "1b0a20c5aecaf5b6899e510b45261058babad7b5555a956f24f5991802470721"),
            "01_ST/SEG": Pixels(
                84, "uint16", "b556bea7543a731bdeafbfcb673440214235fd28b18839a91883c47eaa5937a1", False
            ),
            "02": Pixels(84, "uint8", "6cb99b4e26f1c07aa9103c934cb906e282f37f53d3c7d471215462efb2f3822a"),
            "02_GT/SEG": Pixels(
                9,
                "uint16",
                "25036281a797df9b07190acabb8ce520a6fa7573dbb59820b2882dd5f7e3a3d2",
                numbers=(6, 7, 14, 27, 34, 38, 42, 61, 67),
            ),
            "02_GT/TRA": Pixels(84, "uint16", "e1e770798fa612d75b01ff5eeca7e25f96616d56dd315bcde90accc8f751174b"),
            "02_ST/SEG": Pixels(
                84, "uint16", "cb50433535bdc67e5952daa1e78728aca51ee7eca330a08dba4aaa29888658b2", False
            ),
        },
    ),
}


def check_name(name: str) -> str:
    """The name itself; ValueError with the nearest one if there is no such set."""
    names = (*REAL, *PHANTOM_OF.values())
    if name not in names:
        raise InputError(f"there is no data set {name!r}: {nearest(name, names)}")
    return name
