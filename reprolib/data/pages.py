"""An image as it was read, and what is taken of it: grey values, colours, channels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reprolib.errors import InputError

LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # of red, green, blue; scikit-image's rgb2gray


@dataclass(frozen=True, eq=False)
class Page:
    """One image of a file."""

    pixels: np.ndarray  # (H, W), or (H, W, channels): bool, whole numbers or floating, as stored
    pixel_size: float | None = None  # micrometres, where the file says
    notes: tuple[str, ...] = ()  # what was made of it: "a palette was looked up" ...
    channels: bool = False  # the last axis, if there is one, is channels of a microscope, not red, green and blue


def grey(page: Page, path: Path) -> tuple[np.ndarray, str]:
    """The grey values (H, W) of an image, and a note on what was made of its colours, or "".

    Raises:
        InputError: if it has channels that are no colour.
    """
    pixels = page.pixels
    if pixels.ndim == 2:
        return pixels, ""
    if pixels.shape[-1] == 1 or (pixels == pixels[..., :1]).all():
        return pixels[..., 0], "grey stored as colour"
    if pixels.shape[-1] == 3 and not page.channels:
        return (pixels @ LUMINANCE).astype(np.float32), "colours are taken as their luminance"
    raise InputError(
        f"{path} has {pixels.shape[-1]} channels, and grey values are asked for: name those to take, such as channels=1"
    )


def select(page: Page, path: Path, channels: str) -> tuple[np.ndarray, str]:
    """What a network takes of an image, and a note on what was made of it, or "".

    Args:
        channels: as `Experiment.channels`: "grey" is `grey`; "rgb" the colours (H, W, 3), of a grey image three times
            its values; numbers such as "1,3" those channels (H, W, C), counted from 1, or a single one (H, W).

    Raises:
        InputError: if the image has no such channels.
    """
    if channels == "grey":
        return grey(page, path)
    pixels = page.pixels if page.pixels.ndim == 3 else page.pixels[..., None]
    count = pixels.shape[-1]
    if channels == "rgb":
        if count == 1:
            return np.repeat(pixels, 3, axis=-1), "grey values are taken as red, green and blue"
        if count != 3 or page.channels:
            raise InputError(f"{path} has {count} channels, not red, green and blue: channels={all_channels(count)}")
        return pixels, ""
    numbers = [int(number) - 1 for number in channels.split(",")]
    if max(numbers) >= count:
        raise InputError(f"{path} has {count} channel{'s' if count > 1 else ''}, and {channels} are asked for")
    chosen = pixels[..., numbers]
    return (chosen if len(numbers) > 1 else chosen[..., 0]), ""


def usual_channels(pages: Iterable[Page]) -> str:
    """The channels that show all that some images hold: "grey", "rgb" if one has colours, or all of a microscope's."""
    usual = "grey"
    for page in pages:
        pixels = page.pixels
        if pixels.ndim == 3 and pixels.shape[-1] > 1 and not (pixels == pixels[..., :1]).all():
            if page.channels or pixels.shape[-1] != 3:
                return all_channels(pixels.shape[-1])
            usual = "rgb"
    return usual


def all_channels(count: int) -> str:
    """ "1,2,3" of three."""
    return ",".join(str(number) for number in range(1, count + 1))


def brightness(image: np.ndarray) -> np.ndarray:
    """One value a pixel, (H, W), of an image: of colours (H, W, 3) their luminance, else the channels' mean."""
    if image.ndim == 2:
        return image
    return image @ LUMINANCE if image.shape[-1] == 3 else image.mean(axis=-1)
