"""Objects as ImageJ regions of interest: a zip that ImageJ's and Fiji's ROI manager opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import roifile
from skimage.measure import find_contours, regionprops

from reprolib.files import replacing


def outline(mask: np.ndarray) -> np.ndarray:
    """(n, 2) x and y, px from the upper left corner as ImageJ counts, of the longest contour of a mask (H, W) bool.

    Holes are not told, nor smaller parts of an object in several.
    """
    contours = find_contours(np.pad(mask, 1).astype(float), 0.5)
    row, column = (max(contours, key=len) - 0.5).T  # less the padding, plus half a pixel from centre to corner
    return np.stack([column, row], axis=1)


def save_rois(path: Path, labels: np.ndarray) -> None:
    """Write object numbers (H, W) as a zip of polygons, each named by its number; whole or not at all."""
    regions = [
        roifile.ImagejRoi.frompoints(outline(region.image) + region.bbox[1::-1], name=str(region.label))
        for region in regionprops(labels)
    ]
    with replacing(path) as aside:
        roifile.roiwrite(aside, regions, name=[f"{region.name}.roi" for region in regions], mode="w")
