"""Which settings of a job may be used if the job was read from its output folder.

Whoever can write to the folder can change the job in it. The operator decides where keys are sent and which secrets
are read: with the environment, with the config file, or with LABELFLOW_TRUSTED.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pydantic import BaseModel

from labelflow.errors import InvalidInput
from labelflow.jobs.credentials.dotenv import API_URL_VARIABLE
from labelflow.jobs.job import Job
from labelflow.problems import abbreviate

VARIABLE = "LABELFLOW_TRUSTED"
_NOT_USED = ("manifest", "task")  # sections that neither a collection nor a cancellation reads
_REFERENCE = re.compile(r"(?:env|block):[A-Za-z0-9_-]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")


def check_trusted(job: Job, file: str) -> None:
    """Check the addresses and the references to secrets in a job that was read from its output folder.

    job: with the settings of the environment, see `labelflow.jobs.config.with_environment`. file: for the message.
    Raises InvalidInput if one of them is neither the default nor listed in LABELFLOW_TRUSTED.
    """
    trusted = _read_trusted()
    untrusted = [(field, value) for field, value in _addresses_and_references(job) if _normalize(value) not in trusted]
    if not untrusted:
        return
    named = ", ".join(f"{field} ({abbreviate(value, 120)})" for field, value in untrusted)
    verb, pronoun = ("is", "it") if len(untrusted) == 1 else ("are", "them")
    fix = f"if {pronoun} {verb} right, name the job's config file instead of its folder, or add {pronoun} to {VARIABLE}"
    raise InvalidInput(file, f"{named} {verb} not trusted, because the folder's writers can change {pronoun}", fix)


def _addresses_and_references(job: Job) -> Iterator[tuple[str, str]]:
    """Field and value of each address and each reference that differs from its default."""
    for name in type(job).model_fields:
        section = getattr(job, name)
        if name in _NOT_USED or not isinstance(section, BaseModel):
            continue
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            is_checked = isinstance(value, str) and (_URL.fullmatch(value) or _REFERENCE.fullmatch(value))
            if is_checked and value != field.default:
                yield f"{name}.{key}", value


def _read_trusted() -> set[str]:
    """SCALE_API_URL and the entries of LABELFLOW_TRUSTED. Raises InvalidInput for an entry of another form."""
    entries = [entry.strip() for entry in os.environ.get(VARIABLE, "").split(",")]
    for number, entry in enumerate(entries, 1):
        if entry and not _URL.fullmatch(entry) and not _REFERENCE.fullmatch(entry):
            reason = f"entry {number} is not a URL, env:NAME or block:NAME"
            raise InvalidInput(VARIABLE, reason, "separate the entries by commas")
    return {_normalize(entry) for entry in [*entries, os.environ.get(API_URL_VARIABLE, "")] if entry}


def _normalize(value: str) -> str:
    return value.rstrip("/")
