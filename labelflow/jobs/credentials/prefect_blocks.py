"""Secrets from Prefect blocks: `block:NAME` in a job. Prefect is imported when the first one is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelflow.errors import InvalidInput
from labelflow.jobs.credentials import secrets


def register_block_resolvers() -> None:
    """Register the resolvers of `block:` references in `labelflow.jobs.credentials.secrets`."""
    secrets.resolvers["block"] = _secret
    secrets.aws_resolvers["block"] = _aws_credentials


def _secret(name: str) -> str | None:
    from prefect.blocks.system import Secret

    value = _load(Secret, name, "Secret").get()
    return value if isinstance(value, str) else None


def _aws_credentials(name: str) -> Mapping[str, str]:
    try:
        from prefect_aws import AwsCredentials
    except ImportError:
        raise InvalidInput("s3.credentials", "prefect-aws is not installed", "pip install 'labelflow[aws]'") from None

    block = _load(AwsCredentials, name, "AwsCredentials")
    secret = block.aws_secret_access_key
    variables = {
        "AWS_ACCESS_KEY_ID": block.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret.get_secret_value() if secret else None,
        "AWS_SESSION_TOKEN": block.aws_session_token,
        "AWS_PROFILE": block.profile_name,
        "AWS_DEFAULT_REGION": block.region_name,
        "AWS_ENDPOINT_URL": block.aws_client_parameters.endpoint_url,
    }
    return {variable: value for variable, value in variables.items() if value}


def _load(block_class: Any, name: str, class_name: str) -> Any:
    """Load a block. Raises InvalidInput if it does not exist."""
    try:
        return block_class.load(name, _sync=True)
    except ValueError:
        fix = "create it, or correct the name"
        raise InvalidInput(
            f"block:{name}", f"the Prefect server has no {class_name} block with this name", fix
        ) from None
