"""JSON beyond the limits of strict parsers: integers of any length, huge numbers, deep nesting, NaN.

orjson is fast but it rounds integers over 64 bits, and rejects a whole document for one value that it cannot represent.
One odd value in a page of tasks must not hide the other tasks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

MAX_DEPTH = 200  # levels; what is nested deeper in a document that orjson rejects is kept as JSON text
MAX_DIGITS = 4000  # of an integer; a longer one is kept as text. Python converts at most 4,300 digits
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER = re.compile(rb"(?<![^\s,:\[-])[0-9]{19}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parse_json(content: bytes) -> Any:
    """Parse JSON, with values that strict parsers reject or round.

    Integers are exact. `NaN` and `Infinity` become None, unpaired surrogates U+FFFD. What has no Python value becomes
    text: a number that is too large for a float, an integer of more than MAX_DIGITS digits, and what is nested too
    deeply. Raises ValueError if it is not JSON.

    >>> parse_json(b'{"a": NaN, "b": 1e999}')
    {'a': None, 'b': '1e999'}
    """
    try:
        return parse_exact_json(content)
    except orjson.JSONDecodeError:
        return _parse_leniently(content)


def parse_exact_json(content: bytes) -> Any:
    """Parse strict JSON with exact integers. Raises orjson.JSONDecodeError.

    >>> parse_exact_json(b"[80241446968629130001]")
    [80241446968629130001]
    """
    document = orjson.loads(content)
    # The search for zeros is much faster than that for digits.
    if b"0" * 19 in content.translate(_DIGITS_TO_ZERO) and _LONG_INTEGER.search(content):
        return _parse_leniently(content)
    return document


def dump_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Write compact JSON: integers of any length, any depth. Raises TypeError for a value that JSON does not have."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else 0)
    except TypeError:  # an integer over 64 bits, nested deeper than orjson writes, or not a JSON value
        try:
            return "".join(_pieces(value, sort_keys)).encode()
        except UnicodeEncodeError:
            raise TypeError("a string is not valid Unicode") from None


def _parse_leniently(content: bytes) -> Any:
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    try:
        document = _loads(text)
    except RecursionError:
        document = _loads_cut(text)
    try:
        orjson.dumps(document, default=str)
    except TypeError:  # it has surrogates, or what orjson does not write
        written = "".join(_pieces(document, False))
        document = _loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return document


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=lambda _: None, parse_int=_integer, parse_float=_float)


def _loads_cut(text: str) -> Any:
    try:
        return _loads(_cut(text))
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _cut(text: str) -> str:
    """Return JSON in which each value below MAX_DEPTH levels is replaced by a string that contains it."""
    pieces: list[str] = []
    depth = start = end = 0
    for match in _TOKEN.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                start = match.start()
        elif match[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                pieces += [text[end:start], json.dumps(text[start : match.end()], ensure_ascii=False)]
                end = match.end()
    return "".join(pieces) + text[end:]


def _pieces(value: Any, sort_keys: bool) -> Iterator[str]:
    """Yield the JSON of a value in pieces, without recursion."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, _Piece):
            yield item
        elif isinstance(item, dict):
            items = sorted(item.items()) if sort_keys else list(item.items())
            pending.append(_Piece("}"))
            for index in range(len(items) - 1, -1, -1):
                key, child = items[index]
                if not isinstance(key, str):
                    raise TypeError(f"a key is not a string but {type(key).__name__}")
                pending += [child, _Piece(("," if index else "") + json.dumps(key, ensure_ascii=False) + ":")]
            pending.append(_Piece("{"))
        elif isinstance(item, list | tuple):
            pending.append(_Piece("]"))
            for index in range(len(item) - 1, -1, -1):
                pending += [item[index], _Piece(",")] if index else [item[index]]
            pending.append(_Piece("["))
        elif isinstance(item, float) and not math.isfinite(item):
            yield "null"  # as orjson does
        else:
            yield json.dumps(item, ensure_ascii=False)


class _Piece(str):
    """JSON that is already written."""
