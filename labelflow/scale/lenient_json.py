"""JSON that strict parsers reject."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse_json(content: bytes) -> Any:
    """Parse JSON; `NaN` and `Infinity` become None, and unpaired surrogates become U+FFFD.

    Some JSON libraries write such values although the standard forbids them.
    Raises ValueError if it is not JSON, RecursionError if it is nested too deeply.

    >>> parse_json(b'{"a": NaN}')
    {'a': None}
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        text = json.dumps(json.loads(content, parse_constant=lambda _: None), ensure_ascii=False)
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
