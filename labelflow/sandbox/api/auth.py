"""Authentication by API key. Source: 2017 API, "Authentication and modes"."""

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
    """The account of a key. owner: a digest of the key, so that no file contains the key."""

    owner: int
    is_test: bool


def authenticate(authorization: str | None) -> Account:
    """Return the account of an `Authorization` header. Raises ApiError (401) if it is missing or invalid."""
    account = _parse_authorization(authorization or "")
    if account is None:
        raise ApiError(401, "The API key is missing or invalid: use it as the user name, with an empty password.")
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
