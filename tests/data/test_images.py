"""One reader for every kind of image file: the pixels that were written, or one sentence on what is wrong."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps
from skimage.color import rgb2gray

from reprolib.data import limits
from reprolib.data.images import open_grey, open_plain, read_pages, read_stack
from reprolib.data.pages import Page, brightness, grey, select, usual_channels
from reprolib.errors import InputError

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (30, 41), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (30, 41), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (30, 41, 3), dtype=np.uint8)
MASK = GREY > 127
STACK = RNG.integers(0, 65536, (5, 30, 41), dtype=np.uint16)
OPAQUE = np.full((30, 41, 1), 200, np.uint8)


@pytest.fixture
def written(tmp_path):
    """Writes an array as a TIFF file and gives its path."""

    def write(array, name="in.tif", **options):
        tifffile.imwrite(tmp_path / name, array, **options)
        return tmp_path / name

    return write


def only(path, raw: bool = False):
    """The one page of a file."""
    (page,) = read_pages(path, raw)
    return page


def as_shown(path) -> np.ndarray:
    """What Pillow shows of a file."""
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def turned(array, orientation: int) -> np.ndarray:
    """An array as Pillow turns an image in memory with this orientation tag."""
    image = Image.fromarray(array)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


# --- TIFF


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        DEEP,
        DEEP.astype(np.int16),
        DEEP.astype(np.uint32) * 65537,
        -DEEP.astype(np.int32),
        (DEEP / 7).astype(np.float32),
        DEEP / 7,
        (GREY / 255).astype(np.float16),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}], ids=str)
def test_every_type_of_number_is_read_as_it_was_written(written, array, options):
    path = written(array, photometric="minisblack", **options)
    page = only(path)
    assert page.pixels.dtype == array.dtype and page.pixels.dtype.isnative and page.notes == ()
    assert np.array_equal(page.pixels, array) and np.array_equal(only(path, raw=True).pixels, array)
    assert np.array_equal(open_grey(path), array)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "packbits", "lzma", "png", "jpeg2000"])
def test_a_compressed_tiff_holds_the_same_pixels(written, compression):
    for options in ({}, {"tile": (16, 16)}, {"predictor": True}):
        if "predictor" in options and compression not in ("zlib", "lzw", "zstd"):
            continue
        path = written(GREY, compression=compression, **options)
        assert np.array_equal(only(path).pixels, GREY) and np.array_equal(open_grey(path), GREY)


def test_a_jpeg_in_a_tiff_is_near_to_what_was_written(written):
    smooth = np.add.outer(np.arange(64), 2 * np.arange(48)).astype(np.uint8)
    assert np.abs(only(written(smooth, compression="jpeg")).pixels.astype(int) - smooth).max() <= 4


def test_12_bits_in_16_stay_as_they_are(written):
    page = only(written(DEEP >> 4, "packed.tif", compression="none"))
    assert page.pixels.max() < 4096 and np.array_equal(page.pixels, DEEP >> 4)


def test_bits_are_bool(written):
    page = only(written(MASK, photometric="minisblack"))
    assert page.pixels.dtype == bool and np.array_equal(page.pixels, MASK)
    assert np.array_equal(open_grey(written(MASK, photometric="minisblack")), MASK)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}, {"imagej": True}], ids=str)
def test_a_stack_is_one_image_a_page(written, options):
    more = {"metadata": {"axes": "ZYX"}} if "imagej" in options else {}
    pages = read_pages(written(STACK, photometric="minisblack", **options, **more))
    assert np.array_equal([page.pixels for page in pages], STACK)
    assert np.array_equal(read_stack(written(STACK, photometric="minisblack", **options)), STACK)


def test_images_that_were_appended_are_none_of_them_lost(written):
    path = written(GREY)
    tifffile.imwrite(path, DEEP[:20], append=True)
    first, second = read_pages(path)
    assert np.array_equal(first.pixels, GREY) and np.array_equal(second.pixels, DEEP[:20])
    with pytest.raises(InputError, match="holds 2 pages"):
        open_grey(path)
    with pytest.raises(InputError, match="pages differ in size or type"):
        read_stack(path)


def test_reduced_copies_of_a_pyramid_are_no_images(written, tmp_path):
    for name, levels in (("sub.tif", {"subifds": 2}), ("flat.tif", {})):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(GREY, tile=(16, 16), **levels)
            for step in (2, 4):
                file.write(GREY[::step, ::step], tile=(16, 16), subfiletype=1)
        assert np.array_equal(only(tmp_path / name).pixels, GREY)
        assert np.array_equal(open_grey(tmp_path / name), GREY)
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        for image in (GREY, 255 - GREY):
            file.write(image, tile=(16, 16))
            file.write(image[::2, ::2], tile=(16, 16), subfiletype=1)
    assert np.array_equal([page.pixels for page in read_pages(tmp_path / "two.tif")], [GREY, 255 - GREY])


@pytest.mark.parametrize(("size", "unit"), [(0.25, "µm"), (0.25, "um"), (250, "nm"), (0.00025, "mm")])
def test_ome_tiff_has_an_image_for_each_time_and_slice_and_tells_its_pixel_size(written, size, unit):
    array = np.stack([STACK[:4], STACK[:4] // 2, STACK[:4] // 3])[:, None]  # TCZYX: 3 times, 1 channel, 4 slices
    metadata = {"axes": "TCZYX", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit}
    path = written(array, "in.ome.tif", ome=True, metadata=metadata)
    pages = read_pages(path)
    assert np.array_equal([page.pixels for page in pages], array.reshape(12, 30, 41))
    assert [page.pixel_size for page in pages] == pytest.approx([0.25] * 12)


def test_channels_of_ome_tiff_stay_together_and_are_no_colours(written):
    array = np.stack([STACK[:3], STACK[1:4]])  # TCYX: 2 times, 3 channels
    path = written(array, "in.ome.tif", ome=True, metadata={"axes": "TCYX"}, photometric="minisblack")
    pages = read_pages(path)
    assert [page.pixels.shape for page in pages] == [(30, 41, 3)] * 2 and pages[0].pixel_size is None
    assert np.array_equal(pages[1].pixels[..., 2], STACK[3])
    with pytest.raises(InputError, match="has 3 channels, and grey values are asked for"):
        grey(pages[0], path)


def test_a_unit_that_is_no_length_gives_no_pixel_size(written):
    metadata = {"axes": "YX", "PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}
    assert only(written(DEEP, "in.ome.tif", ome=True, metadata=metadata)).pixel_size is None
    assert only(written(DEEP, resolution=(300, 300), resolutionunit="INCH")).pixel_size is None  # a printer's


@pytest.mark.parametrize(
    ("unit", "size"), [("um", 0.25), ("micron", 0.25), ("\\u00B5m", 0.25), ("nm", 0.00025), ("", None)]
)
def test_an_imagej_hyperstack_has_an_image_for_each_time_and_slice(written, unit, size):
    array = np.stack([STACK, STACK // 2])[:, :, None]  # TZCYX
    path = written(array, imagej=True, metadata={"axes": "TZCYX", "unit": unit}, resolution=(4, 4))
    pages = read_pages(path)
    assert np.array_equal([page.pixels for page in pages], array.reshape(10, 30, 41))
    assert pages[0].pixel_size == (pytest.approx(size) if size else None)


def test_one_channel_is_grey_whatever_its_axes(written):
    for array in (GREY[..., None], GREY[None], GREY[None, None]):
        page = only(written(array, photometric="minisblack"))
        assert np.array_equal(page.pixels, GREY) and grey(page, "x")[1] == ""
        assert np.array_equal(open_grey(written(array, photometric="minisblack")), GREY)


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colours_stay_together_and_transparency_is_dropped(written, planes):
    def laid(array):
        return array if planes == "contig" else np.moveaxis(array, -1, 0)

    page = only(written(laid(COLOUR), photometric="rgb", planarconfig=planes))
    assert np.array_equal(page.pixels, COLOUR) and page.notes == () and not page.channels
    clear = laid(np.concatenate([COLOUR, OPAQUE], -1))
    for extra in ("unassalpha", "assocalpha", "unspecified"):
        page = only(written(clear, photometric="rgb", planarconfig=planes, extrasamples=[extra]))
        assert np.array_equal(page.pixels, COLOUR) and page.notes == ("transparency was dropped",)
    clear = laid(np.concatenate([GREY[..., None], OPAQUE], -1))
    page = only(written(clear, photometric="minisblack", planarconfig=planes, extrasamples=["unassalpha"]))
    assert np.array_equal(page.pixels, GREY) and page.notes == ("transparency was dropped",)


def test_colours_of_print_are_refused_in_a_tiff_and_become_red_green_and_blue_in_a_jpeg(tmp_path):
    printed = Image.fromarray(np.stack([GREY] * 3, -1)).convert("CMYK")
    printed.save(tmp_path / "in.tif")
    printed.save(tmp_path / "in.jpg", quality=100)
    with pytest.raises(InputError, match="has SEPARATED colours: save it as grey or RGB"):
        read_pages(tmp_path / "in.tif")
    (page,) = read_pages(tmp_path / "in.jpg")
    assert page.pixels.shape == (*GREY.shape, 3) and abs(page.pixels.mean() - GREY.mean()) < 2


def ome_in_two_files(folder, channels: int) -> list:
    """An image of two slices, or channels, in a file each, as some microscopes write it."""
    paths = [folder / f"slice{k}.ome.tif" for k in range(2)]
    axis = "C" if channels > 1 else "Z"
    pieces = "".join(
        f'<TiffData IFD="0" First{axis}="{k}" PlaneCount="1">'
        f'<UUID FileName="{path.name}">urn:uuid:0{k}</UUID></TiffData>'
        for k, path in enumerate(paths)
    )
    sides = f'SizeX="{GREY.shape[1]}" SizeY="{GREY.shape[0]}" SizeC="{channels}" SizeZ="{3 - channels}" SizeT="1"'
    for k, path in enumerate(paths):
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:0{k}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
            f"{sides}>{pieces}</Pixels></Image></OME>"
        )
        tifffile.imwrite(path, GREY // (k + 1), description=text, metadata=None)
    return paths


def test_of_an_image_in_several_files_each_file_gives_its_own_slice_once(tmp_path):
    for k, path in enumerate(ome_in_two_files(tmp_path, 1)):
        (page,) = read_pages(path)
        assert np.array_equal(page.pixels, GREY // (k + 1)) and "its own pages alone" in page.notes[0]


def test_channels_in_several_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="one of several files of one image with channels"):
        read_pages(ome_in_two_files(tmp_path, 2)[0])


@pytest.mark.parametrize("count", [2, 3, 4])
def test_channels_that_are_no_colour_are_never_chosen_among(written, count):
    path = written(np.moveaxis(STACK[:count], 0, -1), photometric="minisblack", planarconfig="contig")
    page = only(path)
    assert page.pixels.shape == (30, 41, count) and page.channels
    with pytest.raises(InputError, match=f"has {count} channels"):
        grey(page, path)
    with pytest.raises(InputError, match=f"has {count} channels"):
        open_grey(path)
    assert np.array_equal(read_stack(path), STACK[:count])


def test_what_a_network_takes_of_an_image_is_selected():
    channels = Page(np.moveaxis(STACK[:3], 0, -1), channels=True)
    assert np.array_equal(select(channels, "x", "3,1")[0], np.stack([STACK[2], STACK[0]], -1))
    assert np.array_equal(select(channels, "x", "2")[0], STACK[1]) and np.array_equal(
        select(Page(DEEP), "x", "1")[0], DEEP
    )
    assert np.array_equal(select(Page(COLOUR), "x", "rgb")[0], COLOUR)
    three, note = select(Page(DEEP), "x", "rgb")
    assert np.array_equal(three, np.stack([DEEP] * 3, -1)) and "red, green and blue" in note
    assert np.array_equal(select(Page(COLOUR), "x", "grey")[0], grey(Page(COLOUR), "x")[0])
    for page, asked, told in (
        (channels, "1,4", "has 3 channels, and 1,4 are asked for"),
        (Page(DEEP), "2", "has 1 channel, and 2 are asked for"),
        (channels, "rgb", "not red, green and blue: channels=1,2,3"),
    ):
        with pytest.raises(InputError, match=told):
            select(page, "x", asked)


def test_by_default_all_that_the_images_hold_is_learned():
    alike, several = Page(np.stack([DEEP] * 3, -1)), Page(np.moveaxis(STACK[:4], 0, -1), channels=True)
    for pages, expected in (
        ([], "grey"),
        ([Page(DEEP), alike], "grey"),
        ([Page(DEEP), Page(COLOUR), alike], "rgb"),
        ([Page(DEEP), several], "1,2,3,4"),
        ([Page(several.pixels[..., :3], channels=True)], "1,2,3"),
    ):
        assert usual_channels(pages) == expected


def test_the_brightness_of_colours_is_their_luminance_and_of_channels_their_mean():
    assert brightness(COLOUR) == pytest.approx(255 * rgb2gray(COLOUR), abs=1e-3) and brightness(DEEP) is DEEP
    assert brightness(np.moveaxis(STACK[:2], 0, -1)) == pytest.approx(STACK[:2].mean(0))


def test_colours_become_their_luminance_and_grey_stored_as_colour_stays(written):
    values, note = grey(only(written(COLOUR, photometric="rgb")), "x")
    assert "luminance" in note and values.dtype == np.float32
    assert values == pytest.approx(255 * rgb2gray(COLOUR), abs=1e-3)
    values, note = grey(only(written(np.repeat(DEEP[..., None], 3, -1), photometric="rgb")), "x")
    assert np.array_equal(values, DEEP) and values.dtype == np.uint16 and note == "grey stored as colour"


@pytest.mark.parametrize("array", [MASK, GREY, DEEP], ids=lambda array: str(array.dtype))
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=str)
def test_white_is_zero_is_inverted_but_not_in_raw_numbers(written, array, options):
    path = written(array, photometric="miniswhite", **options)
    page = only(path)
    full = True if array.dtype == bool else np.iinfo(array.dtype).max
    assert page.notes == ("white was zero: inverted",) and page.pixels.dtype == array.dtype
    assert np.array_equal(page.pixels, full ^ array) and np.array_equal(open_grey(path), full ^ array)
    assert np.array_equal(only(path, raw=True).pixels, array) and not only(path, raw=True).notes
    if array.dtype == np.uint8:
        assert np.array_equal(page.pixels, as_shown(path)[..., 0])


def test_white_that_is_zero_of_numbers_without_an_end_is_refused(written):
    for array in (DEEP.astype(np.int16), DEEP / 65535):
        path = written(array, photometric="miniswhite")
        with pytest.raises(InputError, match="save it as black is zero"):
            read_pages(path)
        assert np.array_equal(only(path, raw=True).pixels, array)


def test_a_palette_is_looked_up_but_not_for_raw_numbers(written):
    table = RNG.integers(0, 65536, (3, 256), dtype=np.uint16)
    path = written(GREY, photometric="palette", colormap=table)
    page = only(path)
    assert np.array_equal(page.pixels, as_shown(path)) and page.notes == ("a palette was looked up",)
    assert open_grey(path) == pytest.approx(255 * rgb2gray(page.pixels), abs=1e-3)
    assert np.array_equal(only(path, raw=True).pixels, GREY)


def test_a_palette_of_two_colours_is_looked_up_too(written):
    path = written(MASK, photometric="minisblack", extratags=[(320, 3, 6, (0, 65535, 0, 32768, 0, 0), True)])
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(3)
    assert np.array_equal(only(path).pixels, as_shown(path))
    assert np.array_equal(only(path, raw=True).pixels, MASK)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["in.tif", "in.png", "in.jpg"])
def test_an_image_is_turned_as_its_orientation_tag_says(tmp_path, orientation, name):
    path, tags = tmp_path / name, Image.Exif()
    tags[0x0112] = orientation
    if name == "in.tif":
        tifffile.imwrite(path, GREY, extratags=[(0x0112, 3, 1, orientation, True)])
    else:
        Image.fromarray(GREY).save(path, exif=tags)
    page, kept = only(path), GREY
    if name == "in.jpg":
        with Image.open(path) as file:
            kept = np.asarray(file)
    assert np.array_equal(page.pixels, turned(kept, orientation))
    assert page.pixels.shape == ((41, 30) if orientation > 4 else (30, 41))
    assert page.notes == (() if orientation == 1 else ("turned as its orientation tag says",))
    assert np.array_equal(open_grey(path), page.pixels) and np.array_equal(only(path, raw=True).pixels, page.pixels)


def test_colours_and_stacks_are_turned_alike(written):
    tag = [(0x0112, 3, 1, 6, True)]
    assert np.array_equal(only(written(COLOUR, photometric="rgb", extratags=tag)).pixels, turned(COLOUR, 6))
    pages = read_pages(written(STACK, photometric="minisblack", extratags=tag))
    assert np.array_equal([page.pixels for page in pages], np.rot90(STACK, -1, axes=(1, 2)))


# --- PNG, JPEG, BMP, GIF


@pytest.mark.parametrize(
    ("array", "name"), [(GREY, "in.png"), (DEEP, "in.png"), (MASK, "in.png"), (GREY, "in.bmp"), (MASK, "in.bmp")]
)
def test_what_keeps_its_pixels_is_read_as_it_was_written(tmp_path, array, name):
    Image.fromarray(array).save(tmp_path / name)
    page = only(tmp_path / name)
    assert np.array_equal(page.pixels, array) and page.pixels.dtype == array.dtype and page.notes == ()
    assert np.array_equal(open_grey(tmp_path / name), array)


def test_colours_of_a_png_with_transparency_or_a_palette(tmp_path):
    for clear, found in (([COLOUR, OPAQUE], COLOUR), ([GREY[..., None], OPAQUE], GREY)):
        Image.fromarray(np.concatenate(clear, -1)).save(tmp_path / "clear.png")
        page = only(tmp_path / "clear.png")
        assert np.array_equal(page.pixels, found) and page.notes == ("transparency was dropped",)
    Image.fromarray(COLOUR).quantize(64).save(tmp_path / "palette.png")
    page = only(tmp_path / "palette.png")
    assert np.array_equal(page.pixels, as_shown(tmp_path / "palette.png"))
    assert page.notes == ("a palette was looked up",)
    with Image.open(tmp_path / "palette.png") as file:
        assert np.array_equal(only(tmp_path / "palette.png", raw=True).pixels, np.asarray(file))


def test_a_grey_palette_is_grey(tmp_path):
    for name in ("in.png", "in.gif"):
        Image.fromarray(GREY).convert("P").save(tmp_path / name)
        assert np.array_equal(open_grey(tmp_path / name), GREY)


def test_a_jpeg_is_near_to_what_was_written(tmp_path):
    smooth = np.add.outer(np.arange(64), 2 * np.arange(48)).astype(np.uint8)
    for image in (smooth, np.repeat(smooth[..., None], 3, -1)):
        Image.fromarray(image).save(tmp_path / "in.jpg", quality=95)
        assert np.abs(open_grey(tmp_path / "in.jpg").astype(int) - smooth).max() <= 4


def test_16_bit_colours_of_a_png_are_refused_not_rounded(tmp_path):
    """Pillow would give their upper eight bits, and labels from 0 to 255 would all be 0."""
    imagecodecs = pytest.importorskip("imagecodecs")
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(np.repeat(DEEP[..., None], 3, -1)))
    with pytest.raises(InputError, match="16-bit colours"):
        read_pages(tmp_path / "in.png", raw=True)


# --- Zarr


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_array_is_an_image_or_a_stack(tmp_path, version):
    for name, array in (("flat.zarr", DEEP), ("stack.zarr", STACK), ("big.zarr", DEEP.astype(">u2"))):
        zarr.save_array(tmp_path / name, array, zarr_format=version)
        pages = read_pages(tmp_path / name)
        assert np.array_equal([page.pixels for page in pages], array if array.ndim == 3 else array[None])
        assert pages[0].pixels.dtype == np.uint16 and pages[0].pixels.dtype.isnative
    assert np.array_equal(open_grey(tmp_path / "flat.zarr"), DEEP)
    assert np.array_equal(read_stack(tmp_path / "stack.zarr"), STACK)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("step", "unit"), [(0.25, "micrometer"), (250, "nanometer"), (0.25, None)])
def test_ome_zarr_is_read_at_its_full_size(tmp_path, version, step, unit):
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=2 if version == "0.4" else 3)
    array = STACK[None, None]  # TCZYX
    axes = [{"name": name, "type": "space", **({"unit": unit} if unit else {})} for name in "tczyx"]
    levels = []
    for level in range(2):
        group.create_array(f"level{level}", data=np.ascontiguousarray(array[..., :: 2**level, :: 2**level]))
        scale = [{"type": "scale", "scale": [1, 1, 1, step * 2**level, step * 2**level]}]
        levels.append({"path": f"level{level}", "coordinateTransformations": scale})
    scales = [{"axes": axes, "datasets": levels}]
    group.attrs.update({"multiscales": scales} if version == "0.4" else {"ome": {"multiscales": scales}})
    pages = read_pages(tmp_path / "in.zarr")
    assert np.array_equal([page.pixels for page in pages], STACK)
    assert pages[0].pixel_size == (pytest.approx(0.25) if unit else None)


def test_a_zarr_group_that_names_no_image_is_refused(tmp_path):
    zarr.open_group(tmp_path / "in.zarr", mode="w").create_array("a", data=GREY)
    with pytest.raises(InputError, match="name the array in it"):
        read_pages(tmp_path / "in.zarr")
    assert np.array_equal(zarr.open(tmp_path / "in.zarr/a", mode="r")[:], GREY)


# --- mapped, for images larger than the memory


def test_a_plain_tiff_is_mapped_and_no_other_file_is(written, tmp_path):
    for plain in ({}, {"byteorder": ">"}, {"bigtiff": True}):
        assert isinstance(open_grey(written(DEEP, **plain)), np.memmap)
    others = [
        written(GREY, "white.tif", photometric="miniswhite"),
        written(GREY, "lzw.tif", compression="lzw"),
        written(GREY, "palette.tif", photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        written(GREY, "turned.tif", extratags=[(0x0112, 3, 1, 3, True)]),
        written(COLOUR, "rgb.tif", photometric="rgb"),
        written(MASK, "bits.tif", photometric="minisblack"),
    ]
    Image.fromarray(GREY).save(tmp_path / "in.png")
    for path in (*others, tmp_path / "in.png"):
        assert open_plain(path) is None
        assert np.array_equal(open_grey(path), grey(only(path), path)[0])


# --- what is none


def test_a_missing_file_is_not_found(tmp_path):
    for name in ("none.tif", "none.png", "none.zarr"):
        for read in (read_pages, read_stack, open_grey):
            with pytest.raises(FileNotFoundError, match="does not exist"):
                read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"II*\0", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_what_is_no_image_gets_one_sentence(tmp_path, content):
    for name in ("in.tif", "in.png", "in.jpg", "in.bmp", "in.zarr", "in.gif"):
        (tmp_path / name).write_bytes(content)
        for read in (read_pages, read_stack, open_grey):
            with pytest.raises(InputError) as told:
                read(tmp_path / name)
            assert name in str(told.value) and "\n" not in str(told.value)


def test_folders_and_complex_numbers_are_no_images(written, tmp_path):
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "folder.zarr").mkdir()
    wave = written(GREY.astype(np.complex64), "wave.tif")
    for path in (tmp_path / "folder.tif", tmp_path / "folder.zarr", wave):
        for read in (read_pages, open_grey):
            with pytest.raises(InputError, match=path.name):
                read(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"imagej": True}], ids=str)
def test_a_stack_that_is_cut_short_never_loses_its_last_images(written, tmp_path, options):
    more = {"metadata": {"axes": "ZYX"}} if "imagej" in options else {}
    content = written(STACK, photometric="minisblack", **options, **more).read_bytes()
    for end in range(0, len(content) - 1, 211):
        (tmp_path / "cut.tif").write_bytes(content[:end])
        with contextlib.suppress(InputError):
            assert np.array_equal([page.pixels for page in read_pages(tmp_path / "cut.tif")], STACK)
        with pytest.raises(InputError):
            open_grey(tmp_path / "cut.tif")


@pytest.mark.filterwarnings("ignore")  # Pillow's, before it gives up
def test_damage_gives_an_image_or_one_sentence_and_no_other_error(written, tmp_path):
    rng = np.random.default_rng(0)
    files = [
        written(GREY, "plain.tif"),
        written(DEEP, "lzw.tif", compression="lzw", predictor=True),
        written(DEEP, "tiled.tif", compression="zstd", tile=(16, 16)),
        written(GREY, "jpeg.tif", compression="jpeg"),
        written(STACK, "ij.tif", imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(4, 4)),
        written(STACK, "in.ome.tif", ome=True, metadata={"axes": "ZYX"}, photometric="minisblack"),
        written(GREY, "palette.tif", photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
    ]
    for name in ("in.png", "in.jpg", "in.bmp", "in.gif"):
        Image.fromarray(GREY).save(tmp_path / name)
        files.append(tmp_path / name)
    for path in files:
        content, read = path.read_bytes(), 0
        for trial in range(24):
            damaged = bytearray(content[: rng.integers(len(content))] if trial % 3 == 0 else content)
            for _ in range(trial % 3 and 3):
                place = rng.integers(min(400, len(content)) if trial % 2 else len(content))
                damaged[place] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
            for reader in (read_pages, read_stack, open_grey):
                try:
                    read += len(reader(path)) > 0
                except InputError as error:
                    assert str(path) in str(error) and "\n" not in str(error)
        assert read < 3 * 24


def _empty_strip(width: int, height: int) -> bytes:
    """A TIFF of one strip that is left out, as sparse files have them: 138 bytes of any size."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, height), (279, 0)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)


def _empty_png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("make", "ending"), [(_empty_strip, ".tif"), (_empty_png, ".png")])
def test_a_small_file_that_claims_a_huge_image_is_refused_before_memory_is_taken(tmp_path, make, ending):
    path = tmp_path / f"image{ending}"
    path.write_bytes(make(100_000, 100_000))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"claims 9\.3 GiB of pixels in .* bytes: it is damaged"):
        read_pages(path)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


def test_an_image_beyond_half_of_the_free_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GIBIBYTE", 2**10)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=9000))
    tifffile.imwrite(tmp_path / "a.tif", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    assert read_pages(tmp_path / "a.tif")[0].pixels.shape == (64, 64)
    tifffile.imwrite(tmp_path / "b.tif", np.arange(8192, dtype=np.uint16).reshape(64, 128), compression="zlib")
    with pytest.raises(InputError, match=r"b\.tif takes 16.0 GiB of memory, and half of the 8.8 GiB"):
        read_pages(tmp_path / "b.tif")


def test_many_pages_that_unpack_to_several_gibibytes_are_refused_before_memory_is_taken(tmp_path):
    page = np.zeros((12_000, 12_000), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(page, compression="zstd", rowsperstrip=len(page))
    whole = (tmp_path / "a.tif").read_bytes()  # its one page again and again
    (first,) = struct.unpack("<I", whole[4:8])
    (tags,) = struct.unpack("<H", whole[first : first + 2])
    pages, end = whole[first : first + 2 + 12 * tags], len(whole)
    places = [end + k * (len(pages) + 4) for k in range(40)]
    chain = b"".join(pages + struct.pack("<I", place) for place in (*places[1:], 0))
    (tmp_path / "a.tif").write_bytes(whole[:4] + struct.pack("<I", end) + whole[8:] + chain)
    with pytest.raises(InputError, match=r"claims 5\.4 GiB of pixels in .* bytes"):
        read_pages(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("shape", "chunks", "told"),
    [
        ((100_000, 100_000), (4000, 4000), r"claims 9\.3 GiB of pixels"),
        ((10**9, 1, 1), (10**6, 1, 1), "claims 1000000000 pages"),
        ((1000, 1000), (1, 1), "claims 1000000 pieces"),
        ((64, 64), (100_000, 100_000), r"claims 9\.3 GiB of pixels"),
    ],
)
def test_a_zarr_array_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, shape, chunks, told):
    zarr.create_array(tmp_path / "a.zarr", shape=shape, chunks=chunks, dtype="uint8")
    with pytest.raises(InputError, match=told):
        read_pages(tmp_path / "a.zarr")


def test_planes_that_ome_metadata_claims_are_counted_before_they_are_made(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        claimed = file.ome_metadata.replace('SizeT="1"', 'SizeT="9999999"')
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, description=claimed, metadata=None)
    with pytest.raises(InputError, match=r"a\.ome\.tif claims 9999999 pages, and 65536 are allowed"):
        read_pages(tmp_path / "a.ome.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_refused_by_every_reader_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    zarr.create_array(tmp_path / "b.zarr", shape=(64, 64), chunks=(64, 64), dtype="uint8")
    os.mkfifo(tmp_path / "b.zarr" / "c")
    for read in (read_pages, open_grey):
        for name in ("a.tif", "b.zarr"):
            with pytest.raises(InputError, match="is a pipe, socket or device, no image"):
                read(tmp_path / name)
    assert open_plain(tmp_path / "a.tif") is None


READ_AND_MEASURE = """
import resource, sys
from pathlib import Path
from reprolib.data.images import read_pages
for path in map(Path, sys.argv[1:]):  # the first is small, and loads the libraries
    (page,) = read_pages(path)
    print(page.pixels.nbytes, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    del page
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is told in other units elsewhere")
def test_reading_an_image_takes_at_most_two_and_a_half_times_its_pixels(tmp_path):
    deep, grey = np.zeros((6500, 6500), np.uint16), np.zeros((6500, 6500), np.uint8)
    palette = np.zeros((3, 256), np.uint16)
    paths = [
        tmp_path / name for name in ("small.png", "deep.png", "palette.png", "turned.png", "palette.tif", "white.tif")
    ]
    Image.fromarray(deep[:9, :9]).save(paths[0])
    Image.fromarray(deep).save(paths[1])
    Image.fromarray(grey).convert("P").save(paths[2])
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(deep).save(paths[3], exif=turned)
    tifffile.imwrite(paths[4], grey, photometric="palette", colormap=palette, compression="zlib")
    tifffile.imwrite(paths[5], deep, photometric="miniswhite", compression="zlib")
    done = subprocess.run([sys.executable, "-c", READ_AND_MEASURE, *paths], capture_output=True, text=True, check=True)
    (_, before), *measured = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    assert len(measured) == 5
    for path, (size, peak) in zip(paths[1:], measured, strict=True):
        assert peak - before < 2.5 * size + 2**24, path.name


def test_pillow_guesses_no_other_format_than_those_that_are_read(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, format="PPM")
    with pytest.raises(InputError, match=r"image\.png"):
        list(read_pages(path))
