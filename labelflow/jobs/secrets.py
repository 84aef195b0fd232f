"""Secrets travel by name: `env:NAME`, or `block:NAME` where Prefect is at hand. They are read where they are used.

This package knows the environment only; `labelflow/jobs/prefect_blocks.py` adds Prefect's blocks.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping

from labelflow.problems import validation_error

Read = Callable[[str], str | None]

resolvers: dict[str, Read] = {"env": os.environ.get}  # by what stands before the colon; None: there is no such secret
aws_resolvers: dict[str, Callable[[str], Mapping[str, str]]] = {}  # those of S3 credentials: AWS_… variables
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|block:[a-z0-9-]+")
_BLOCK = re.compile(r"block:[a-z0-9-]+")
_overridden: dict[str, str | None] = {}  # AWS_… variables that a block has set, and what they were before
_override_lock = threading.Lock()


def check_reference(value: str) -> str:
    """Refuses what does not name a secret."""
    if not _REFERENCE.fullmatch(value):
        fix = "name where the key is found, never the key: env:SCALE_API_KEY, or block:NAME of a Prefect Secret block"
        raise validation_error("does not name a secret", fix)
    return value


def check_block(value: str) -> str:
    """Refuses what does not name a block."""
    if not _BLOCK.fullmatch(value):
        raise validation_error(
            "does not name a block", "write block:NAME, with the name of a Prefect AwsCredentials block"
        )
    return value


def read_secret(reference: str) -> str | None:
    """The secret that a reference names, without white space around it; None where there is none."""
    kind, _, name = reference.partition(":")
    reader = resolvers.get(kind)
    return ((reader(name) if reader else None) or "").strip() or None


def use_s3_credentials(reference: str | None) -> None:
    """From now on this process reaches S3 with the credentials of a block; None: with its own again."""
    with _override_lock:
        for name, before in _overridden.items():
            _set(name, before)
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
