"""`.env` of the current folder. Its URL receives no other key, and its key goes to no other URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dotenv import dotenv_values

from labelflow.errors import InvalidInput
from labelflow.jobs.job import ScaleSection

PATH = ".env"
API_URL_VARIABLE = "SCALE_API_URL"


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """The variables in a `.env` file, and the names of those that the environment did not have."""

    values: Mapping[str, str] = field(default_factory=dict)
    loaded: frozenset[str] = frozenset()


_file = DotenvFile()


def load() -> None:
    """Add the variables of `.env` to the environment. What is set stays. Raises InvalidInput if it is not UTF-8.

    A `.env` in a folder above is not read: somebody else may be able to write there.
    """
    global _file
    try:
        values = {name: value for name, value in dotenv_values(PATH).items() if value is not None}
    except UnicodeDecodeError:
        raise InvalidInput(PATH, "is not UTF-8 text", "save it as UTF-8") from None
    _file = DotenvFile(values, frozenset(values.keys() - os.environ.keys()))
    os.environ.update({name: values[name] for name in _file.loaded})


def check_url_and_key(scale: ScaleSection, key: str) -> None:
    """Raise InvalidInput if the URL is from `.env` and the key is not, or the key is and goes to another URL.

    A URL that the job sets may receive the key of a `.env` without a URL.
    """
    name = scale.key.removeprefix("env:")
    url_is_set_by_job = "url" in scale.model_fields_set
    if API_URL_VARIABLE in _file.loaded and not url_is_set_by_job:
        if _file.values.get(name, "").strip() != key:
            fix = f"set {name} in {PATH} too, or set {API_URL_VARIABLE} where {name} is set"
            raise InvalidInput(PATH, f"sets {API_URL_VARIABLE}, which would receive a key from elsewhere, {name}", fix)
    elif name in _file.loaded:
        url = _file.values.get(API_URL_VARIABLE)
        is_its_url = (
            scale.url.rstrip("/") == url.rstrip("/") if url else url_is_set_by_job or API_URL_VARIABLE not in os.environ
        )
        if not is_its_url:
            fix = f"set {API_URL_VARIABLE} in {PATH} to this URL, or set {name} in the environment"
            raise InvalidInput(PATH, f"sets {name}, which would be sent to a URL from elsewhere, {scale.url}", fix)
