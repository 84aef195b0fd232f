"""The faults that meet requests: each is one function, and its entry in the list below."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labelflow.sandbox.faults.exchange import Exchange
from labelflow.sandbox.settings.fault_kinds import FaultKind, FaultTarget

HANG_SECONDS = 600.0  # how long a connection stays open on which no answer comes
SERVER_ERROR_MESSAGES = {500: "Trouble on the server's side.", 503: "The service is not available for the moment."}
RATE_LIMITED_MESSAGE = "Too many requests."

Injector = Callable[[Exchange, float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFaultKind(FaultKind):
    """A fault that meets requests; only_creations: none but `POST /task/{type}`."""

    target: FaultTarget = FaultTarget.REQUEST
    inject: Injector
    only_creations: bool = False


async def reset_connection(exchange: Exchange, _: float) -> None:
    exchange.connection.reset()
    await exchange.wait_closed()


async def drop_response(exchange: Exchange, _: float) -> None:
    await exchange.execute()
    exchange.connection.drop()
    await exchange.wait_closed()


def error_before(status: int) -> Injector:
    async def inject(exchange: Exchange, _: float) -> None:
        await exchange.send_error(status, SERVER_ERROR_MESSAGES[status])

    return inject


def error_after(status: int) -> Injector:
    async def inject(exchange: Exchange, _: float) -> None:
        await exchange.execute()
        await exchange.send_error(status, SERVER_ERROR_MESSAGES[status])

    return inject


async def rate_limit(exchange: Exchange, _: float) -> None:
    await exchange.send_error(429, RATE_LIMITED_MESSAGE)


async def rate_limit_with_retry_after(exchange: Exchange, seconds: float) -> None:
    await exchange.send_error(
        429, RATE_LIMITED_MESSAGE, retry_after=str(math.ceil(seconds))
    )  # HTTP knows whole seconds only


async def delay_response(exchange: Exchange, seconds: float) -> None:
    messages = await exchange.execute()
    if await exchange.hold(seconds):
        await exchange.send_response(messages)


async def hang(exchange: Exchange, _: float) -> None:
    await exchange.execute()
    if await exchange.hold(HANG_SECONDS):
        exchange.connection.drop()
        await exchange.wait_closed()


async def truncate_json(exchange: Exchange, _: float) -> None:
    """The HTTP of it is sound: only the JSON ends too early."""
    start, *rest = await exchange.execute()
    body = b"".join(message.get("body", b"") for message in rest)
    half = body[: len(body) // 2]
    others = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers = [*others, (b"content-length", str(len(half)).encode())]
    await exchange.send_response([{**start, "headers": headers}, {"type": "http.response.body", "body": half}])


REQUEST_FAULT_KINDS = (
    RequestFaultKind(
        name="reset", inject=reset_connection, description="the connection is reset, and nothing comes of the request"
    ),
    RequestFaultKind(
        name="dropped",
        inject=drop_response,
        description="the task is created, and the connection closed without an answer",
        only_creations=True,
    ),
    RequestFaultKind(
        name="500-before", inject=error_before(500), description="a 500, and nothing comes of the request"
    ),
    RequestFaultKind(
        name="500-after",
        inject=error_after(500),
        description="a 500, although the task is created",
        only_creations=True,
    ),
    RequestFaultKind(
        name="503-before", inject=error_before(503), description="a 503, and nothing comes of the request"
    ),
    RequestFaultKind(
        name="503-after",
        inject=error_after(503),
        description="a 503, although the task is created",
        only_creations=True,
    ),
    RequestFaultKind(name="429", inject=rate_limit, description="a 429 that does not say when to try again"),
    RequestFaultKind(
        name="429-wait",
        inject=rate_limit_with_retry_after,
        description="a 429 with Retry-After, in whole seconds",
        seconds=2,
    ),
    RequestFaultKind(
        name="slow",
        inject=delay_response,
        description="the request is carried out, and answered so much later",
        seconds=0.5,
    ),
    RequestFaultKind(
        name="never",
        inject=hang,
        description=f"the request is carried out, and never answered: the connection stays open for {HANG_SECONDS:g} s",
    ),
    RequestFaultKind(
        name="broken-json", inject=truncate_json, description="the request is carried out, the answer's JSON cut off"
    ),
)
