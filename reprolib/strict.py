"""JSON to typed values and back, by cattrs, strictly: nothing is converted, left out or added in silence.

cattrs alone makes the number 1 of "1", a tuple of a text's letters, and passes unknown fields and NaN.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

from cattrs import BaseValidationError, Converter, ForbiddenExtraKeysError, transform_error
from cattrs.cols import homogenous_tuple_structure_factory, is_mapping, is_sequence, mapping_structure_factory

from reprolib.errors import InputError

LONGEST = 300  # characters of what a file says that an error repeats


def strict_converter() -> Converter:
    """A converter of dataclasses, tuples, dicts, text, bool, int and float, whose JSON must be of just these types."""
    converter = Converter(omit_if_default=True, forbid_extra_keys=True)
    for kind, wanted in ((str, "text"), (bool, "true or false"), (int, "a whole number")):
        converter.register_structure_hook(kind, _exactly(kind, wanted))
    converter.register_structure_hook(float, lambda value, _: float(finite(value)))
    converter.register_structure_hook(int | float, lambda value, _: finite(value))
    a_list = _exactly(list, "a list")
    for concerns, factory, check in (
        (is_mapping, mapping_structure_factory, an_object),
        (is_sequence, homogenous_tuple_structure_factory, a_list),
        (_is_fixed_tuple, lambda cls, _: converter.gen_structure_hetero_tuple(cls), a_list),
        (dataclasses.is_dataclass, lambda cls, _: converter.gen_structure_attrs_fromdict(cls), an_object),
    ):
        converter.register_structure_hook_factory(concerns, _guarded(factory, check))
    return converter


def finite(value: object) -> int | float:
    """A finite number as it is.

    Raises:
        InputError: for anything else, NaN, the infinities, true and false among it.
    """
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return value
    except OverflowError:  # a whole number beyond all floating ones
        pass
    raise InputError(f"a finite number is wanted, not {reprlib.repr(value)}")


def an_object(value: object) -> dict:
    """What JSON calls an object, as it is.

    Raises:
        InputError: for anything else.
    """
    if type(value) is not dict:
        raise InputError(f"an object is wanted, not {reprlib.repr(value)}")
    return value


def read_json(path: Path) -> Any:
    """The content of a JSON file, in which no object has a name twice.

    Raises:
        InputError: if the file is none.
        OSError: if it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file")
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise InputError("it is not valid JSON (nested too deeply)") from None
    except ValueError as error:
        raise InputError(f"it is not valid JSON ({shortened(str(error))})") from None


def what_is_wrong(error: Exception) -> str:
    """The first thing that is wrong, as a converter tells it: where, what is wanted, what is there."""
    if not isinstance(error, BaseValidationError):
        return shortened(str(error))
    told, _, place = transform_error(error, format_exception=_told)[0].rpartition(" @ $")
    return shortened(f"{place.lstrip('.')}: {told}" if place else told)


def shortened(text: str) -> str:
    """One line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _told(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "it is missing"
    if isinstance(error, ForbiddenExtraKeysError):
        return f"{', '.join(map(reprlib.repr, sorted(error.extra_fields)))} is unknown"
    return str(error)


def _exactly(kind: type, wanted: str) -> Callable[..., Any]:
    def checked(value: object, _: object = None) -> Any:
        if type(value) is not kind:
            raise InputError(f"{wanted} is wanted, not {reprlib.repr(value)}")
        return value

    return checked


def _guarded(factory: Callable, check: Callable) -> Callable:
    def guarded(cls: Any, converter: Converter) -> Callable:
        structure = factory(cls, converter)
        return lambda value, kind: structure(check(value), kind)

    return guarded


def _is_fixed_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple and Ellipsis not in get_args(cls)


def _no_number(constant: str) -> float:
    raise InputError(f"{constant} is no number")


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in pairs:
        if name in body:
            raise InputError(f"{reprlib.repr(name)} occurs twice")
        body[name] = value
    return body
