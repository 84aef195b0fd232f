"""The environment of a command: `.env`, `block:` secrets, Prefect's settings. Imports no Prefect."""

from __future__ import annotations

import os

DOTENV = ".env"
QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # `exit_status` reports what ends a run, once
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}


def load_environment() -> None:
    """Load `.env` of the current folder, register `block:` secrets, and set Prefect's log level. What is set stays.

    Raises InvalidInput if `.env` is not UTF-8, or has only one of the API's URL and its key and the other is set.
    """
    from labelflow.jobs.prefect_blocks import register_block_resolvers

    register_block_resolvers()
    for name, value in _read_dotenv().items():
        os.environ.setdefault(name, value)
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")


def _read_dotenv() -> dict[str, str]:
    """The variables of `.env`. Not of one in a folder above: somebody else may be able to write there."""
    from dotenv import dotenv_values

    from labelflow.errors import InvalidInput

    try:
        values = {name: value for name, value in dotenv_values(DOTENV).items() if value is not None}
    except UnicodeDecodeError:
        raise InvalidInput(DOTENV, "is not UTF-8 text", "save it as UTF-8") from None
    _check_key_goes_to_its_url(values)
    return values


def _check_key_goes_to_its_url(values: dict[str, str]) -> None:
    """Raise InvalidInput if the URL of `.env` would be used with a key from elsewhere, or its key with another URL."""
    from labelflow.errors import InvalidInput
    from labelflow.jobs.keys import API_KEY_VARIABLE as KEY
    from labelflow.jobs.keys import API_URL_VARIABLE as URL

    used = {**values, **os.environ}
    url, key = values.get(URL, ""), values.get(KEY, "")
    loads_url, loads_key = url and URL not in os.environ, key and KEY not in os.environ
    if loads_url and (not key or used[KEY] != key):
        name, other = URL, KEY
    elif loads_key and used.get(URL, url) != url:
        name, other = KEY, URL
    else:
        return
    fix = f"set both in {DOTENV}, or both in the environment"
    raise InvalidInput(DOTENV, f"sets {name}, which would be used with a {other} from elsewhere", fix)
