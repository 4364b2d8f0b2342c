"""Is an image like the training images? Level, noise and width of structures are what they are made with."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from reprolib.evaluation.appearance import appearance, seen, unlike
from reprolib.own.folder import SHOWN, load_folder

RNG = np.random.default_rng(0)


def blobs(sigma: float, noise: float = 0.0, side: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = ndimage.gaussian_filter(rng.normal(size=(side, side)), sigma, mode="wrap")
    return values / values.std() + rng.normal(0, noise, values.shape)


@pytest.mark.parametrize("sigma", [3, 6, 12])
def test_the_width_of_structures_is_where_the_autocorrelation_halves(sigma):
    # a Gaussian filter of white noise has the autocorrelation exp(-d^2 / 4 sigma^2)
    assert appearance(blobs(sigma)).length == pytest.approx(2 * sigma * np.sqrt(np.log(2)), rel=0.12)


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_noise_is_that_of_the_pixels_whatever_the_structures(noise):
    image = blobs(8, noise)
    low, high = np.percentile(image, (1, 99.8))
    assert appearance(image).noise == pytest.approx(noise / (high - low), rel=0.1)
    assert appearance(blobs(8)).noise < 0.01


def test_scale_and_offset_of_the_values_do_not_matter_and_inversion_does():
    image = np.exp(blobs(5))
    one, other = appearance(image), appearance((image * 100 + 3000).astype(np.float32))
    assert other.level == pytest.approx(one.level, abs=1e-3) and other.length == pytest.approx(one.length, rel=1e-3)
    assert one.level < 0.4 < 0.6 < appearance(-image).level


def test_an_image_at_another_scale_or_with_noise_is_unlike_and_one_more_is_not():
    labels = np.kron(np.arange(100).reshape(10, 10), np.ones((40, 40), int))
    known = seen([blobs(5, 0.02, seed=seed) for seed in range(3)], [labels] * 3)
    assert unlike(known, blobs(5, 0.02, seed=9), labels) == []
    for other, told in ((blobs(15, 0.02), "width of structures"), (blobs(5, 0.2), "noise")):
        assert any(told in phrase for phrase in unlike(known, other))
    (phrase,) = unlike(known, blobs(5, 0.02, seed=9), labels[::4, ::4])
    assert phrase == "objects of 100 px, there 1600 to 1600"


def test_stained_tissue_is_unlike_nuclei_in_fluorescence():
    nuclei, tissue = load_folder(SHOWN / "nuclei"), load_folder(SHOWN / "histology")
    images = [nuclei.image(k) for k in range(10)]
    labels = [nuclei.own_part(nuclei.instances[k], k) for k in range(10)]
    for k in range(2):
        assert any("median brightness" in phrase for phrase in unlike(seen(images, labels), tissue.image(k)))
    for k in (1, 3, 4, 6, 8):  # each left out in turn, where another of its kind stays
        rest = [j for j in range(10) if j != k]
        assert unlike(seen([images[j] for j in rest], [labels[j] for j in rest]), images[k], labels[k]) == []
