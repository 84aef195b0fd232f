"""The connection to a job's API: a client with the job's settings, and a check that the API accepts the key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labelflow.errors import RunAborted, UsageError
from labelflow.jobs.job import Job
from labelflow.redaction import strip_signatures
from labelflow.scale.client import CONNECT_TIMEOUT, ScaleClient
from labelflow.scale.errors import ConnectError, RateLimited, ScaleError, ServerError, Unauthorized
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
    """
    return ScaleClient(
        key,
        job.scale.url,
        connections=job.submit.concurrency,
        timeout=(CONNECT_TIMEOUT, job.scale.timeout.total_seconds()),
        rate_limiter=rate_limiter,
        sleep=sleep,
        redact=strip_signatures,
        server_time=server_time,
    )


@dataclass(frozen=True, slots=True)
class ApiInfo:
    """What the first requests say about the API. now: the server's time (UTC)."""

    supports_unique_id: bool
    now: datetime


def check_connection(job: Job, key: str) -> ApiInfo:
    """Request one task, to check that the API responds and accepts the key.

    Raises UsageError, or RunAborted if a later attempt may succeed.
    """
    retry = RetryPolicy(attempts=3, max_retry_after=5.0)
    with ScaleClient(key, job.scale.url, connections=1, retry=retry, timeout=(5.0, 15.0)) as client:
        try:
            next(client.list_pages(limit=1))
            return ApiInfo(client.supports_unique_id(), client.now())
        except Unauthorized:
            raise UsageError("scale.key", f"{job.scale.url} rejected the key", "use a valid API key") from None
        except ConnectError as error:
            raise UsageError("scale.url", error.message, "check the URL, and that the server is running") from None
        except (RateLimited, ServerError) as error:
            raise RunAborted(f"{job.scale.url}: {error.message}; try again later") from None
        except ScaleError as error:
            reason = f"{job.scale.url} does not respond like the Scale API ({error.message})"
            raise UsageError("scale.url", reason, "check the URL; it must end in /v1") from None
