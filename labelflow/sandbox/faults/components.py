"""The components of a sandbox with faults."""

from __future__ import annotations

from collections import Counter

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelflow.sandbox.api.routes import json_response
from labelflow.sandbox.components import Components
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.annotators import FaultyAnnotators
from labelflow.sandbox.faults.callback_sender import FaultyCallbackSender
from labelflow.sandbox.faults.listing import LaggingListing
from labelflow.sandbox.faults.requests.connections import BreakableProtocol
from labelflow.sandbox.faults.requests.middleware import RequestFaults
from labelflow.sandbox.faults.requests.refused_retries import RefusedRetries
from labelflow.sandbox.faults.sampler import FaultSampler
from labelflow.sandbox.settings.fault_kinds import FaultTarget
from labelflow.sandbox.settings.fault_spec import FaultSpec
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.attachment_fetcher import AttachmentFetcher


class FaultyComponents(Components):
    """Components that inject the faults of a specification. `GET /sandbox/faults` returns their counts."""

    http = BreakableProtocol

    def __init__(self, store: Store, options: Options, spec: FaultSpec) -> None:
        super().__init__(store, options)
        self._spec = spec
        self._counts = Counter({setting.kind.name: 0 for setting in spec.settings})

    def listing(self) -> LaggingListing:
        """Return the component for `GET /tasks`."""
        seconds = sum(setting.seconds for setting in self._spec.for_target(FaultTarget.LISTING))
        return LaggingListing(self._store, self._options.api_version, seconds, self._counts)

    def annotators(self, attachment_fetcher: AttachmentFetcher) -> FaultyAnnotators:
        """Return the component that answers tasks."""
        sampler = FaultSampler(self._spec, FaultTarget.TASK)
        return FaultyAnnotators(self._store, attachment_fetcher, self._options.api_version, sampler, self._counts)

    def callback_sender(self) -> FaultyCallbackSender:
        """Return the component that sends callbacks."""
        return FaultyCallbackSender(
            self._store, self._options, FaultSampler(self._spec, FaultTarget.CALLBACK), self._counts
        )

    def wrap(self, app: FastAPI) -> None:
        """Add the middleware for request faults and the endpoint for the counts."""
        app.add_middleware(RefusedRetries)
        app.add_middleware(RequestFaults, sampler=FaultSampler(self._spec, FaultTarget.REQUEST), counts=self._counts)
        app.router.routes.append(Route("/sandbox/faults", self._counts_response, methods=["GET"]))

    async def _counts_response(self, _: Request) -> Response:
        return json_response(self._counts)
