"""The web service that receives callbacks: authentication, limits, health and metrics. The work is done in `receiving`.

POST /callback, for Scale. GET /health and GET /metrics, for operators.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import threading
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from labelflow.callbacks.callback import InvalidCallback
from labelflow.callbacks.receiver import CallbackReceiver, Overloaded
from labelflow.errors import StorageError, UsageError

AUTH_HEADER = "scale-callback-auth"
MAX_BODY_BYTES = 16 << 20  # of one callback
BODY_TIMEOUT = 30.0  # for one callback to come in
START_TIMEOUT = 10.0
SHUTDOWN_TIMEOUT = 10  # for callbacks that are being stored


class _HttpError(Exception):
    def __init__(self, status: int, reason: str, counted_as: str) -> None:
        super().__init__(reason)
        self.status = status
        self.metric = counted_as


class CallbackApi:
    """What the service answers. key: never printed, never part of an answer."""

    def __init__(self, receiver: CallbackReceiver, key: str) -> None:
        self._receiver = receiver
        self._key = key.encode()

    def app(self) -> Starlette:
        """The service as an ASGI application."""
        return Starlette(
            routes=[
                Route("/callback", self.callback, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
                Route("/metrics", self.metrics, methods=["GET"]),
            ]
        )

    async def callback(self, request: Request) -> Response:
        """Acknowledge a callback, once it is on lasting storage."""
        try:
            await self._receive(request)
        except _HttpError as refused:
            self._receiver.counts["", refused.metric] += 1
            # The rest of a body that is not read would be taken for the next request.
            return JSONResponse({"error": str(refused)}, refused.status, {"connection": "close"})
        return JSONResponse({"status": "stored"})

    async def _receive(self, request: Request) -> None:
        given = request.headers.get(AUTH_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(given, self._key):
            raise _HttpError(401, f"the header {AUTH_HEADER} is missing or wrong", "forged")
        try:
            await self._receiver.receive(await _body(request))
        except InvalidCallback as error:
            raise _HttpError(400, str(error), "malformed") from None
        except Overloaded:
            raise _HttpError(503, "too many callbacks wait to be stored; send it again", "not_stored") from None
        except StorageError:
            raise _HttpError(503, "it could not be stored; send it again", "not_stored") from None

    async def health(self, _: Request) -> Response:
        """Whether callbacks can be stored, as far as the last write tells."""
        troubles = {shelf.last_error for shelf in self._receiver.writers if shelf.last_error}
        if troubles:
            return JSONResponse({"status": "callbacks cannot be stored", "reasons": sorted(troubles)}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        """Counts, in the text format of Prometheus."""
        lines = [
            "# HELP labelflow_callbacks_total Callbacks, by job and what became of them.",
            "# TYPE labelflow_callbacks_total counter",
        ]
        for (job, result), number in sorted(self._receiver.counts.items()):
            lines.append(f'labelflow_callbacks_total{{job="{job}",result="{result}"}} {number}')
        lines += [
            "# HELP labelflow_callback_writes_total Files written; callbacks that come in together share one.",
            "# TYPE labelflow_callback_writes_total counter",
            f"labelflow_callback_writes_total {sum(shelf.writes for shelf in self._receiver.writers)}",
            "# HELP labelflow_callback_bytes_waiting Bytes of callbacks that wait to be written.",
            "# TYPE labelflow_callback_bytes_waiting gauge",
            f"labelflow_callback_bytes_waiting {sum(shelf.buffered_bytes for shelf in self._receiver.writers)}",
        ]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


async def _body(request: Request) -> bytes:
    too_large = _HttpError(413, f"a callback may have {MAX_BODY_BYTES:,} bytes", "too_large")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for piece in request.stream():
                content += piece
                if len(content) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise _HttpError(408, f"the body took more than {BODY_TIMEOUT:g} seconds", "malformed") from None
    except ClientDisconnect:
        raise _HttpError(400, "the body broke off", "malformed") from None
    return bytes(content)


class CallbackServer:
    """Listens for callbacks. Raises UsageError where it cannot listen there."""

    def __init__(self, receiver: CallbackReceiver, key: str, host: str, port: int) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            reason = f"cannot be listened on ({error.strerror or error})"
            raise UsageError(f"{host}:{port}", reason, "use another host or port, or end what listens there") from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            CallbackApi(receiver, key).app(),
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="off",
            limit_concurrency=2000,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, name="callbacks", daemon=True)

    def run(self) -> None:
        """Serve until told to stop, by a signal where this is the main thread. What came in is stored first."""
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        """Serve beside the caller, until `stop`."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise UsageError(self.url, "the receiver of callbacks did not start", "look at its log")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, once what came in is stored."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()
