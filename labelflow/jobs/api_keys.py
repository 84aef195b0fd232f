"""Keys from the environment or a Prefect block: the API key, the callback auth key."""

from __future__ import annotations

import os

from labelflow.errors import UsageError
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import read_secret
from labelflow.scale.models import Mode

CALLBACK_KEY_VARIABLE = "SCALE_CALLBACK_AUTH_KEY"


def read_key(job: Job) -> str:
    """The API key, from where the job says. Raises UsageError where it is missing, or for the other mode."""
    name = job.scale.key.removeprefix("env:")
    key = (os.environ.get("SCALE_API_KEY") or "").strip() or read_secret(job.scale.key)
    if not key:
        where = "Prefect has no" if name.startswith("block:") else "the environment holds no"
        raise UsageError("scale.key", f"{where} {name}", f"set {name} (a .env file will do) to your API key")
    if not key.isascii() or any(character.isspace() for character in key):
        raise UsageError("scale.key", f"{name} is no API key: it holds white space or odd characters", "copy it again")
    # A key that does not say that it is for tests is taken for one that costs money.
    mode = Mode.from_key(key) or Mode.LIVE
    if mode is not job.scale.mode:
        raise UsageError(
            "scale.mode",
            f"the job says {job.scale.mode.value}, and the key is a {mode.value} key",
            f"use a {job.scale.mode.value} key, or write `mode: {mode.value}`",
        )
    return key


def read_callback_key(*jobs: Job) -> str:
    """The callback auth key of the jobs' account. Raises UsageError where it is missing, or where they have several."""
    key = os.environ.get(CALLBACK_KEY_VARIABLE, "").strip()
    keys = {key} if key else {read_secret(job.collect.auth_key) or "" for job in jobs}
    if len(keys) > 1:
        raise UsageError("collect.auth_key", "names several keys", "serve the jobs of one account")
    found = next(iter(keys), "")
    if not found:
        fix = f"set {CALLBACK_KEY_VARIABLE} (a .env file will do) to the callback auth key of your Scale account"
        raise UsageError(CALLBACK_KEY_VARIABLE, "the environment does not hold it", fix)
    return found
