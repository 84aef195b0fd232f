"""The replaceable components of the application."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from labelflow.sandbox.api.listing import Listing
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.annotators import Annotators
from labelflow.sandbox.workers.attachment_fetcher import AttachmentFetcher
from labelflow.sandbox.workers.callback_sender import CallbackSender


class Components:
    """Creates the components of a sandbox. `sandbox.faults` has a subclass whose components inject faults.

    http: the HTTP protocol of uvicorn.
    """

    http: str | type[asyncio.Protocol] = "auto"

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options

    def listing(self) -> Listing:
        """Return the component for `GET /tasks`."""
        return Listing(self._store, self._options.api_version)

    def annotators(self, attachment_fetcher: AttachmentFetcher) -> Annotators:
        """Return the component that answers tasks."""
        return Annotators(self._store, attachment_fetcher, self._options.api_version)

    def callback_sender(self) -> CallbackSender:
        """Return the component that sends callbacks."""
        return CallbackSender(self._store, self._options)

    def wrap(self, app: FastAPI) -> None:
        """Add middleware and endpoints to the application; none here."""
