"""What the application is made of."""

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
    """Makes the parts of a sandbox; a subclass may make others, such as `sandbox.faults` does.

    http: what uvicorn speaks HTTP with.
    """

    http: str | type[asyncio.Protocol] = "auto"

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options

    def listing(self) -> Listing:
        """What answers `GET /tasks`."""
        return Listing(self._store, self._options.api_version)

    def annotators(self, attachment_fetcher: AttachmentFetcher) -> Annotators:
        """Who answers."""
        return Annotators(self._store, attachment_fetcher, self._options.api_version)

    def callback_sender(self) -> CallbackSender:
        """What tells of answers."""
        return CallbackSender(self._store, self._options)

    def wrap(self, app: FastAPI) -> None:
        """Put between the application and its clients what is to stand there: nothing."""
