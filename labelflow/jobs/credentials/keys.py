"""The API key and the callback auth key, from the environment or a Prefect block."""

from __future__ import annotations

from labelflow.errors import InvalidInput, OtherMode
from labelflow.jobs.credentials.dotenv import check_url_and_key
from labelflow.jobs.credentials.secrets import read_secret
from labelflow.jobs.job import Job
from labelflow.network.addresses import is_loopback
from labelflow.scale.models import Mode

CALLBACK_KEY_VARIABLE = "SCALE_CALLBACK_AUTH_KEY"


def read_key(job: Job) -> str:
    """Return the API key that the job refers to; without a reference, SCALE_API_KEY.

    Raises InvalidInput if the key is missing, malformed, or not for the job's mode (test or live), if only one of the
    key and the job's URL is from `.env`, or if it is a live key that would be sent in plain text over a network.
    """
    name = job.scale.key.removeprefix("env:")
    key = read_secret(job.scale.key)
    if not key:
        if name.startswith("block:"):
            raise InvalidInput("scale.key", f"{name} is not available", "create this Prefect Secret block")
        raise InvalidInput("scale.key", f"{name} is not set", f"set {name}, in the environment or in a .env file")
    if not key.isascii() or any(character.isspace() for character in key):
        reason = f"{name} is not a valid API key: it contains white space or non-ASCII characters"
        raise InvalidInput("scale.key", reason, "copy the key again")
    check_url_and_key(job.scale, key)
    # A key without a known prefix counts as live, so that it never creates paid tasks in a test job.
    mode = Mode.from_key(key) or Mode.LIVE
    if mode is not job.scale.mode:
        raise OtherMode(
            "scale.mode",
            f"the mode is {job.scale.mode.value}, but the key is a {mode.value} key",
            f"use a {job.scale.mode.value} key, or set `mode: {mode.value}`",
        )
    if mode is Mode.LIVE and not job.scale.url.lower().startswith("https://") and not is_loopback(job.scale.url):
        reason = f"{job.scale.url} would receive the live key without encryption"
        raise InvalidInput("scale.url", reason, "use https://; live keys are sent over http:// to this machine only")
    return key


def read_callback_key(*jobs: Job) -> str:
    """Return the callback auth key that the jobs share. Raises InvalidInput if there is none, or if they differ."""
    keys = {read_secret(job.collect.auth_key) or "" for job in jobs}
    if len(keys) > 1:
        reason = "the jobs have different callback auth keys"
        raise InvalidInput("collect.auth_key", reason, "run one receiver per Scale account")
    key = next(iter(keys), "")
    if not key:
        kind, _, name = jobs[0].collect.auth_key.partition(":")
        fix = "set it to the callback auth key of your Scale account, in the environment or in a .env file"
        raise InvalidInput(name if kind == "env" else jobs[0].collect.auth_key, "is not set", fix)
    return key
