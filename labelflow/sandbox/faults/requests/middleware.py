"""ASGI middleware that injects the faults of requests."""

from __future__ import annotations

from collections import Counter

from labelflow.sandbox.faults.requests.exchange import App, Exchange, Message, Receive, Send
from labelflow.sandbox.faults.requests.kinds import REQUEST_FAULT_KINDS
from labelflow.sandbox.faults.sampler import FaultSampler

KINDS_BY_NAME = {kind.name: kind for kind in REQUEST_FAULT_KINDS}


class RequestFaults:
    """Passes requests to the application, some of them with a fault. Counts the faults."""

    def __init__(self, app: App, sampler: FaultSampler, counts: Counter[str]) -> None:
        self._app = app
        self._sampler = sampler
        self._counts = counts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        setting = self._sampler.sample() if _is_api_request(scope) else None
        if setting is None:
            await self._app(scope, receive, send)
            return
        kind = KINDS_BY_NAME[setting.kind.name]
        if kind.only_creations and not _is_creation(scope):
            await self._app(scope, receive, send)
            return
        self._counts[kind.name] += 1
        await kind.inject(Exchange(self._app, scope, receive, send), setting.seconds)


def _is_api_request(scope: Message) -> bool:
    return scope["type"] == "http" and str(scope["path"]).startswith("/v1/")


def _is_creation(scope: Message) -> bool:
    """Return whether a request is `POST /v1/task/{type}`."""
    return scope["method"] == "POST" and str(scope["path"]).count("/") == 3
