"""Elastic deformation (Sec. 3.1) of a 512 x 512 image and its labels together, against three libraries.

All deform image (linear) and labels (nearest) by one field. elasticdeform draws the paper's 3 x 3 grid as we do;
torchvision and albumentations blur noise instead, here as strongly and as far as their defaults have it (a wider blur
costs torchvision far more).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.timing import Row, alternate
from reprolib.augment import augment, normalise

SIDE = 512  # px
STRENGTH = 10.0  # px


def torchvision_peer(image: np.ndarray, labels: np.ndarray) -> Callable:
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    deform = v2.ElasticTransform()
    pair = tv_tensors.Image(torch.from_numpy(image)[None]), tv_tensors.Mask(torch.from_numpy(labels)[None])
    return lambda: deform(*pair)


def elasticdeform_peer(image: np.ndarray, labels: np.ndarray) -> Callable:
    import elasticdeform

    return lambda: elasticdeform.deform_random_grid([image, labels], STRENGTH, 3, order=[1, 0], mode="mirror")


def albumentations_peer(image: np.ndarray, labels: np.ndarray) -> Callable:
    with warnings.catch_warnings():  # it looks for newer versions of itself
        warnings.simplefilter("ignore")
        import albumentations
        import cv2

    cv2.setNumThreads(torch.get_num_threads())
    deform = albumentations.ElasticTransform(p=1)
    return lambda: deform(image=image, mask=labels)


def measure() -> tuple[list[Row], dict]:
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    values = normalise(rng.integers(0, 256, (SIDE, SIDE), np.uint8))
    image, labels = values.numpy(), rng.integers(0, 2, (SIDE, SIDE)).astype(np.float32)
    planes = torch.from_numpy(labels)[None]

    def ours():
        return augment(values, planes, SIDE, generator, elastic=STRENGTH, rotate=False, grey=0, halo=0)

    works: dict[str, Callable] = {"ours": ours}
    for name, peer in (
        ("torchvision", torchvision_peer),
        ("elasticdeform", elasticdeform_peer),
        ("albumentations", albumentations_peer),
    ):
        try:
            works[name] = peer(image, labels)
        except ImportError as error:
            print(f"{name} is left out ({error}); it comes with the extra [peers]")
    took = alternate(works, 10)
    what = f"elastic deformation, {SIDE} x {SIDE} px"
    return [Row(what, name, seconds, took["ours"], "s", 1) for name, seconds in took.items() if name != "ours"], {}
