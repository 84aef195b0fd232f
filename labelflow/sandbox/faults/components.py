"""The parts of a sandbox, made worse as a specification says."""

from __future__ import annotations

from collections import Counter

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelflow.sandbox.api.routes import json_response
from labelflow.sandbox.components import Parts
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.annotators import FaultyPeople
from labelflow.sandbox.faults.callback_sender import FaultyCallbacks
from labelflow.sandbox.faults.connections import BreakableProtocol
from labelflow.sandbox.faults.listing import LaggingListing
from labelflow.sandbox.faults.middleware import RequestFaults
from labelflow.sandbox.faults.sampler import Fates
from labelflow.sandbox.settings.fault_kinds import Target
from labelflow.sandbox.settings.fault_spec import Spec
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.attachment_fetcher import Attachments


class FaultyParts(Parts):
    """Parts with faults, and one count of all that happened, which `GET /sandbox/faults` tells."""

    http = BreakableProtocol

    def __init__(self, store: Store, options: Options, spec: Spec) -> None:
        super().__init__(store, options)
        self._spec = spec
        self._counts = Counter({setting.kind.name: 0 for setting in spec.settings})

    def listing(self) -> LaggingListing:
        """`GET /tasks`, behind by as much as is wanted."""
        seconds = sum(setting.seconds for setting in self._spec.of(Target.LISTING))
        return LaggingListing(self._store, self._options.dialect, seconds, self._counts)

    def people(self, attachments: Attachments) -> FaultyPeople:
        """Who answers."""
        fates = Fates(self._spec, Target.TASK)
        return FaultyPeople(self._store, attachments, self._options.dialect, fates, self._counts)

    def callbacks(self) -> FaultyCallbacks:
        """What tells of answers."""
        return FaultyCallbacks(self._store, self._options, Fates(self._spec, Target.CALLBACK), self._counts)

    def surround(self, app: FastAPI) -> None:
        """Put the request faults before the API, and the count beside it."""
        app.add_middleware(RequestFaults, fates=Fates(self._spec, Target.REQUEST), counts=self._counts)
        app.router.routes.append(Route("/sandbox/faults", self._told, methods=["GET"]))

    async def _told(self, _: Request) -> Response:
        return json_response(self._counts)
