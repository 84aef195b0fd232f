"""Who asks: the key of a request. Source: contract A "Authentication and modes"."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from labelflow.sandbox.errors import ApiError
from labelflow.scale.models import Mode


@dataclass(frozen=True, slots=True)
class Account:
    """A key, known by its digest only, so that no file ever holds it."""

    owner: int
    is_test: bool


def authenticate(authorization: str | None) -> Account:
    """The account behind an `Authorization` header. Raises Refused (401) for none, or for an unknown key."""
    account = _parse_authorization(authorization or "")
    if account is None:
        raise ApiError(401, "No valid API key was given: use it as the user name, with an empty password.")
    return account


@lru_cache(maxsize=1024)
def _parse_authorization(authorization: str) -> Account | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    mode = Mode.from_key(key)
    if mode is None or password:
        return None
    digest = hashlib.sha256(key.encode()).digest()
    return Account(int.from_bytes(digest[:7], "big"), mode is Mode.TEST)
