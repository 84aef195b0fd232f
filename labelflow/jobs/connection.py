"""The API of a job: a client made as the job says, and a first word with the server."""

from __future__ import annotations

from labelflow.errors import RunAborted, UsageError
from labelflow.jobs.job import Job
from labelflow.redaction import strip_signatures
from labelflow.scale.client import CONNECT_TIMEOUT, ScaleClient
from labelflow.scale.errors import ConnectError, RateLimited, ScaleError, ServerError, Unauthorized
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.scale.retry import RetryPolicy, Sleep


def open_client(job: Job, key: str, pause: Sleep, pace: RateLimiter | None = None) -> ScaleClient:
    """A client for many threads. pause: how it waits. pace: of the creations."""
    return ScaleClient(
        key,
        job.scale.url,
        connections=job.submit.concurrency,
        timeout=(CONNECT_TIMEOUT, job.scale.timeout.total_seconds()),
        rate_limiter=pace,
        sleep=pause,
        redact=strip_signatures,
    )


def check_connection(job: Job, key: str) -> bool:
    """Ask the API for one task: tells at once whether it is there, and whether it takes the key.

    Returns whether the server knows `unique_id`. Raises UsageError, or RunAborted where trying again may help.
    """
    patience = RetryPolicy(attempts=3, max_retry_after=5.0)
    with ScaleClient(key, job.scale.url, connections=1, retry=patience, timeout=(5.0, 15.0)) as client:
        try:
            next(client.list_pages(limit=1))
            return client.supports_unique_id()
        except Unauthorized:
            raise UsageError("scale.key", f"{job.scale.url} does not take the key", "use a valid API key") from None
        except ConnectError as error:
            raise UsageError("scale.url", error.message, "check the URL, and that the server is up") from None
        except (RateLimited, ServerError) as error:
            raise RunAborted(f"{job.scale.url}: {error.message}; try again later") from None
        except ScaleError as error:
            reason = f"{job.scale.url} does not answer like the Scale API ({error.message})"
            raise UsageError("scale.url", reason, "check the URL; it ends in /v1") from None
