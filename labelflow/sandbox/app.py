"""The ASGI application: the endpoints and the background work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from labelflow.sandbox.api.routes import Api, json_response
from labelflow.sandbox.components import Components
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.attachment_fetcher import AttachmentFetcher
from labelflow.sandbox.workers.background_tasks import BackgroundTasks


def create_app(store: Store, options: Options, components: Components) -> FastAPI:
    """Return the application. Its lifespan runs the annotators and the callback sender."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        attachment_fetcher = AttachmentFetcher()
        callback_sender = components.callback_sender()
        annotators = components.annotators(attachment_fetcher)
        background_tasks = BackgroundTasks()
        background_tasks.start(annotators.run())
        background_tasks.start(callback_sender.run())
        yield
        await background_tasks.stop()
        attachment_fetcher.close()
        callback_sender.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.router.routes.extend(Api(store, options, components.listing()).routes())
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(Exception, _internal_error)
    components.wrap(app)
    return app


def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _error_response(error.status, error.message)


def _not_found(request: Request, _: Exception) -> Response:
    return _error_response(404, f"There is no endpoint {request.method} {request.url.path}.")


def _internal_error(_: Request, error: Exception) -> Response:
    return _error_response(500, f"Internal error of the sandbox: {type(error).__name__}.")


def _error_response(status: int, message: str) -> Response:
    return json_response({"status_code": status, "error": message}, status)
