"""References to secrets: `env:NAME`, or `block:NAME` for a Prefect block. Jobs contain the reference, never the secret.

This module resolves environment variables only; `labelflow/jobs/credentials/prefect_blocks.py` adds Prefect blocks.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping

from labelflow.problems import validation_error

Resolver = Callable[[str], str | None]

# By the part of a reference before the colon. A resolver returns None if there is no such secret.
resolvers: dict[str, Resolver] = {"env": os.environ.get}
aws_resolvers: dict[str, Callable[[str], Mapping[str, str]]] = {}  # S3 credentials, as AWS_… variables
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|block:[a-z0-9-]+")
_BLOCK = re.compile(r"block:[a-z0-9-]+")
_overridden: dict[str, str | None] = {}  # AWS_… variables that a block has set, with their previous values
_override_lock = threading.Lock()


def check_reference(value: str) -> str:
    """Validate a reference to a secret."""
    if not _REFERENCE.fullmatch(value):
        fix = "use a reference, never the key itself: env:SCALE_API_KEY, or block:NAME of a Prefect Secret block"
        raise validation_error("is not a reference to a secret", fix)
    return value


def check_block(value: str) -> str:
    """Validate a reference to a Prefect AwsCredentials block."""
    if not _BLOCK.fullmatch(value):
        raise validation_error(
            "is not a reference to a block", "write block:NAME, with the name of a Prefect AwsCredentials block"
        )
    return value


def describe_reference(reference: str) -> str:
    """Return where a secret comes from, for a message.

    >>> describe_reference("env:SCALE_API_KEY"), describe_reference("block:team-a")
    ('SCALE_API_KEY', 'the Prefect block team-a')
    """
    kind, _, name = reference.partition(":")
    return name if kind == "env" else f"the Prefect block {name}"


def read_secret(reference: str) -> str | None:
    """Return the secret that a reference names, stripped of white space; None if there is none.

    read_secret("env:SCALE_API_KEY")
    """
    kind, _, name = reference.partition(":")
    resolver = resolvers.get(kind)
    return ((resolver(name) if resolver else None) or "").strip() or None


def use_s3_credentials(reference: str | None) -> None:
    """Use the S3 credentials of a block in this process from now on; None: the process's own credentials again."""
    with _override_lock:
        for variable, previous in _overridden.items():
            _set(variable, previous)
        _overridden.clear()
        if reference is None:
            return
        kind, _, name = reference.partition(":")
        for variable, value in aws_resolvers[kind](name).items() if kind in aws_resolvers else ():
            _overridden[variable] = os.environ.get(variable)
            _set(variable, value)


def _set(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value
