"""The faults of requests. Each is a function and an entry in REQUEST_FAULT_KINDS."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labelflow.sandbox.faults.requests.exchange import Exchange
from labelflow.sandbox.faults.requests.refused_retries import REFUSE_RETRY
from labelflow.sandbox.settings.fault_kinds import FaultKind, FaultTarget

HANG_SECONDS = 600.0  # how long a connection without a response stays open
SERVER_ERROR_MESSAGES = {500: "Internal server error.", 503: "The service is temporarily unavailable."}
RATE_LIMITED_MESSAGE = "Too many requests."

Injector = Callable[[Exchange, float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFaultKind(FaultKind):
    """A fault of requests.

    inject: handles a request with the fault; gets the request and the time of the fault in seconds.
    only_creations: whether only `POST /task/{type}` has the fault.
    """

    target: FaultTarget = FaultTarget.REQUEST
    inject: Injector
    only_creations: bool = False


async def reset_connection(exchange: Exchange, _: float) -> None:
    """Reset the connection without executing the request."""
    exchange.connection.reset()
    await exchange.wait_closed()


async def drop_response(exchange: Exchange, _: float) -> None:
    """Execute the request, then close the connection without a response."""
    await exchange.execute()
    exchange.connection.drop()
    await exchange.wait_closed()


async def drop_and_refuse_retry(exchange: Exchange, seconds: float) -> None:
    """Execute the request, close the connection without a response, and refuse the next attempt with a 400."""
    exchange.scope["state"][REFUSE_RETRY] = True
    await drop_response(exchange, seconds)


def error_before(status: int) -> Injector:
    """Return an injector that sends an error without executing the request."""

    async def inject(exchange: Exchange, _: float) -> None:
        await exchange.send_error(status, SERVER_ERROR_MESSAGES[status])

    return inject


def error_after(status: int) -> Injector:
    """Return an injector that executes the request and sends an error."""

    async def inject(exchange: Exchange, _: float) -> None:
        await exchange.execute()
        await exchange.send_error(status, SERVER_ERROR_MESSAGES[status])

    return inject


async def rate_limit(exchange: Exchange, _: float) -> None:
    """Send a 429 without Retry-After."""
    await exchange.send_error(429, RATE_LIMITED_MESSAGE)


async def rate_limit_with_retry_after(exchange: Exchange, seconds: float) -> None:
    """Send a 429 with Retry-After, rounded up: the header has whole seconds."""
    await exchange.send_error(429, RATE_LIMITED_MESSAGE, retry_after=str(math.ceil(seconds)))


async def delay_response(exchange: Exchange, seconds: float) -> None:
    """Execute the request and send its response late."""
    messages = await exchange.execute()
    if await exchange.hold(seconds):
        await exchange.send_response(messages)


async def hang(exchange: Exchange, _: float) -> None:
    """Execute the request and send nothing for HANG_SECONDS."""
    await exchange.execute()
    if await exchange.hold(HANG_SECONDS):
        exchange.connection.drop()
        await exchange.wait_closed()


async def truncate_json(exchange: Exchange, _: float) -> None:
    """Execute the request and send the first half of its JSON, in a valid HTTP response."""
    start, *body_messages = await exchange.execute()
    body = b"".join(message.get("body", b"") for message in body_messages)
    half = body[: len(body) // 2]
    others = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers = [*others, (b"content-length", str(len(half)).encode())]
    await exchange.send_response([{**start, "headers": headers}, {"type": "http.response.body", "body": half}])


REQUEST_FAULT_KINDS = (
    RequestFaultKind(
        name="reset", inject=reset_connection, description="the connection is reset; the request is not executed"
    ),
    RequestFaultKind(
        name="dropped",
        inject=drop_response,
        description="the task is created, and the connection is closed without a response",
        only_creations=True,
    ),
    RequestFaultKind(
        name="refused-retry",
        inject=drop_and_refuse_retry,
        description="as `dropped`, and the next attempt with the same body gets a 400",
        only_creations=True,
    ),
    RequestFaultKind(name="500-before", inject=error_before(500), description="a 500; the request is not executed"),
    RequestFaultKind(
        name="500-after",
        inject=error_after(500),
        description="a 500, but the task is created",
        only_creations=True,
    ),
    RequestFaultKind(name="503-before", inject=error_before(503), description="a 503; the request is not executed"),
    RequestFaultKind(
        name="503-after",
        inject=error_after(503),
        description="a 503, but the task is created",
        only_creations=True,
    ),
    RequestFaultKind(
        name="429", inject=rate_limit, description="a 429 without Retry-After; the request is not executed"
    ),
    RequestFaultKind(
        name="429-wait",
        inject=rate_limit_with_retry_after,
        description="a 429 with Retry-After: SECONDS, rounded up; the request is not executed",
        seconds=2,
    ),
    RequestFaultKind(
        name="slow",
        inject=delay_response,
        description="the request is executed, and the response is sent SECONDS late",
        seconds=0.5,
    ),
    RequestFaultKind(
        name="never",
        inject=hang,
        description=f"the request is executed, but no response is sent; the connection closes after {HANG_SECONDS:g} s",
    ),
    RequestFaultKind(
        name="broken-json",
        inject=truncate_json,
        description="the request is executed, and the JSON of the response is truncated",
    ),
)
