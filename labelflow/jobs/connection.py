"""The connection to a job's API: a client with the job's settings, and a check that the API accepts the key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labelflow.errors import InvalidInput, RunAborted
from labelflow.jobs.credentials.secrets import describe_reference
from labelflow.jobs.job import Job
from labelflow.network.addresses import is_private_host
from labelflow.redaction import strip_signatures
from labelflow.scale.client import CONNECT_TIMEOUT, ScaleClient
from labelflow.scale.errors import ConnectError, RateLimited, ScaleError, ServerError, Unauthorized
from labelflow.scale.models import LIVE_URL
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.scale.retry import RetryPolicy, Sleep


def open_client(
    job: Job,
    key: str,
    sleep: Sleep,
    rate_limiter: RateLimiter | None = None,
    server_time: datetime | None = None,
) -> ScaleClient:
    """Open a thread-safe client.

    sleep: called to wait. rate_limiter: limits the creation of tasks. server_time: the API's time, if it is known.
    Raises InvalidInput if the settings of the proxies are invalid.
    """
    return _make_client(
        key,
        job.scale.url,
        connections=job.submit.concurrency,
        timeout=(CONNECT_TIMEOUT, job.scale.timeout.total_seconds()),
        rate_limiter=rate_limiter,
        sleep=sleep,
        redact=strip_signatures,
        server_time=server_time,
    )


def describe_connection(job: Job) -> str:
    """Return the server, the mode, and where the key comes from; never the key.

    >>> describe_connection(job)
    'https://api.scale.com/v1, mode live, key from SCALE_API_KEY'
    """
    return f"{job.scale.url}, mode {job.scale.mode.value}, key from {describe_reference(job.scale.key)}"


def allows_private_attachments(job: Job) -> bool:
    """Whether attachments may be at private addresses: if the job says so, or if its API, a sandbox, is at one."""
    return job.attachments.allow_private or (job.scale.url != LIVE_URL and is_private_host(job.scale.url))


def _make_client(key: str, url: str, **options: Any) -> ScaleClient:
    try:
        return ScaleClient(key, url, **options)
    except ConnectError as error:
        raise InvalidInput("scale.url", error.message, "use http://HOST:PORT, and percent-encode a password") from None


@dataclass(frozen=True, slots=True)
class ApiCheck:
    """What the first requests say about the API. server_time: in UTC; None if the server sends none."""

    supports_unique_id: bool
    server_time: datetime | None


def check_connection(job: Job, key: str) -> ApiCheck:
    """Request one task, to check that the API responds and accepts the key.

    Raises InvalidInput, or RunAborted if a later attempt may succeed.
    """
    retry = RetryPolicy(attempts=3, max_retry_after=5.0)
    with _make_client(key, job.scale.url, connections=1, retry=retry, timeout=(5.0, 15.0)) as client:
        try:
            next(client.list_pages(limit=1))
            return ApiCheck(client.supports_unique_id(), client.server_time)
        except Unauthorized:
            raise InvalidInput("scale.key", f"{job.scale.url} rejected the key", "use a valid API key") from None
        except ConnectError as error:
            raise InvalidInput("scale.url", error.message, "check the URL, and that the server is running") from None
        except (RateLimited, ServerError) as error:
            raise RunAborted(f"{job.scale.url}: {error.message}; try again later") from None
        except ScaleError as error:
            reason = f"{job.scale.url} does not respond like the Scale API ({error.message})"
            raise InvalidInput("scale.url", reason, "check the URL; it must end in /v1") from None
