"""The formats of manifests. Each module here implements one, and assigns it to FORMAT."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from labelflow.manifests.compression import SUFFIXES
from labelflow.manifests.format import FormatError, ManifestFormat

HEAD_BYTES = 4096  # of the content, from which the format of a file without a known suffix is detected


@cache
def all_formats() -> tuple[ManifestFormat, ...]:
    """Return all formats."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(importlib.import_module(f"{__name__}.{name}").FORMAT for name in names)


def format_of(name: str, head: bytes) -> ManifestFormat:
    """Return the format of a file: that of its suffix, else that of its content. Raises FormatError if it has none.

    head: the first HEAD_BYTES of the decompressed content.

    Example:
        format_of("s3://bucket/part-00000.csv.gz", b"id;text")  # the format of labelflow/manifests/formats/csv.py
    """
    name = _without_compression(name.lower())
    for each in all_formats():
        if name.endswith(each.suffixes):
            return each
    for each in all_formats():
        if each.matches(head):
            return each
    suffixes = ", ".join(suffix for each in all_formats() for suffix in each.suffixes)
    fix = f"use a file with one of the suffixes {suffixes}, which may be followed by {' or '.join(SUFFIXES)}"
    raise FormatError("has an unknown format, by its suffix and by its content", fix)


def _without_compression(name: str) -> str:
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name
