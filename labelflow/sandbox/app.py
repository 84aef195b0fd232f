"""The application: the endpoints, and the people and callbacks that work behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from labelflow.sandbox.api.routes import Api, json_response
from labelflow.sandbox.components import Parts
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.errors import Refused
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.attachment_fetcher import Attachments
from labelflow.sandbox.workers.background_tasks import Crew


def create_app(store: Store, options: Options, parts: Parts) -> FastAPI:
    """The sandbox as an application, made of such parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        attachments = Attachments()
        callbacks = parts.callbacks()
        people = parts.people(attachments)
        crew = Crew()
        crew.start(people.work())
        crew.start(callbacks.work())
        yield
        await crew.stop()
        attachments.close()
        callbacks.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.router.routes.extend(Api(store, options, parts.listing()).routes())
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _no_such_endpoint)
    app.add_exception_handler(Exception, _trouble)
    parts.surround(app)
    return app


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _error(error.status, error.message)


def _no_such_endpoint(request: Request, _: Exception) -> Response:
    return _error(404, f"There is no endpoint {request.method} {request.url.path}.")


def _trouble(_: Request, error: Exception) -> Response:
    return _error(500, f"Trouble on the sandbox's side: {type(error).__name__}.")


def _error(status: int, message: str) -> Response:
    return json_response({"status_code": status, "error": message}, status)
