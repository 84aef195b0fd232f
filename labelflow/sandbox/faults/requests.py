"""The faults that meet requests: each is one function, and its entry in the list below."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from labelflow.sandbox.faults.exchange import Exchange
from labelflow.sandbox.settings.fault_kinds import Kind, Target

NEVER_SECONDS = 600.0  # how long a connection stays open on which no answer comes
TROUBLE = {500: "Trouble on the server's side.", 503: "The service is not available for the moment."}
TOO_MANY = "Too many requests."

Strike = Callable[[Exchange, float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKind(Kind):
    """A fault that meets requests; only_creations: none but `POST /task/{type}`."""

    target: Target = Target.REQUEST
    strike: Strike
    only_creations: bool = False


async def reset(exchange: Exchange, _: float) -> None:
    exchange.connection.reset()
    await exchange.closed()


async def dropped(exchange: Exchange, _: float) -> None:
    await exchange.carried_out()
    exchange.connection.drop()
    await exchange.closed()


def trouble_before(status: int) -> Strike:
    async def strike(exchange: Exchange, _: float) -> None:
        await exchange.refuse(status, TROUBLE[status])

    return strike


def trouble_after(status: int) -> Strike:
    async def strike(exchange: Exchange, _: float) -> None:
        await exchange.carried_out()
        await exchange.refuse(status, TROUBLE[status])

    return strike


async def too_many(exchange: Exchange, _: float) -> None:
    await exchange.refuse(429, TOO_MANY)


async def too_many_with_wait(exchange: Exchange, seconds: float) -> None:
    await exchange.refuse(429, TOO_MANY, retry_after=str(math.ceil(seconds)))  # HTTP knows whole seconds only


async def slow(exchange: Exchange, seconds: float) -> None:
    answer = await exchange.carried_out()
    if await exchange.hold(seconds):
        await exchange.answer(answer)


async def never(exchange: Exchange, _: float) -> None:
    await exchange.carried_out()
    if await exchange.hold(NEVER_SECONDS):
        exchange.connection.drop()
        await exchange.closed()


async def broken_json(exchange: Exchange, _: float) -> None:
    """The HTTP of it is sound: only the JSON ends too early."""
    start, *rest = await exchange.carried_out()
    body = b"".join(message.get("body", b"") for message in rest)
    half = body[: len(body) // 2]
    others = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers = [*others, (b"content-length", str(len(half)).encode())]
    await exchange.answer([{**start, "headers": headers}, {"type": "http.response.body", "body": half}])


REQUEST_KINDS = (
    RequestKind(name="reset", strike=reset, meaning="the connection is reset, and nothing comes of the request"),
    RequestKind(
        name="dropped",
        strike=dropped,
        meaning="the task is created, and the connection closed without an answer",
        only_creations=True,
    ),
    RequestKind(name="500-before", strike=trouble_before(500), meaning="a 500, and nothing comes of the request"),
    RequestKind(
        name="500-after", strike=trouble_after(500), meaning="a 500, although the task is created", only_creations=True
    ),
    RequestKind(name="503-before", strike=trouble_before(503), meaning="a 503, and nothing comes of the request"),
    RequestKind(
        name="503-after", strike=trouble_after(503), meaning="a 503, although the task is created", only_creations=True
    ),
    RequestKind(name="429", strike=too_many, meaning="a 429 that does not say when to try again"),
    RequestKind(
        name="429-wait", strike=too_many_with_wait, meaning="a 429 with Retry-After, in whole seconds", seconds=2
    ),
    RequestKind(
        name="slow", strike=slow, meaning="the request is carried out, and answered so much later", seconds=0.5
    ),
    RequestKind(
        name="never",
        strike=never,
        meaning=f"the request is carried out, and never answered: the connection stays open for {NEVER_SECONDS:g} s",
    ),
    RequestKind(
        name="broken-json", strike=broken_json, meaning="the request is carried out, the answer's JSON cut off"
    ),
)
