"""Callbacks that come twice, late, or in another order."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.sampler import Fates
from labelflow.sandbox.settings.fault_kinds import DUPLICATE_CALLBACK, LATE_CALLBACK, ORDER
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.callback_sender import Callbacks


class FaultyCallbacks(Callbacks):
    """Sends callbacks; each sending, a retry too, may meet a fault."""

    def __init__(self, store: Store, options: Options, fates: Fates, counts: Counter[str]) -> None:
        super().__init__(store, options)
        self._fates = fates
        self._counts = counts
        self._held: list[asyncio.Event] = []  # of callbacks that wait until another has overtaken them
        self._overtaken: dict[int, list[asyncio.Event]] = {}  # the same, by the one that overtakes them
        self._strikes = {
            DUPLICATE_CALLBACK.name: self._twice,
            LATE_CALLBACK.name: self._late,
            ORDER.name: self._after_another,
        }

    async def _dispatch(self, seq: int) -> None:
        setting = self._fates.next()
        if setting is None:
            await self._in_time(seq)
            return
        self._counts[setting.kind.name] += 1
        self._sending.start(self._strikes[setting.kind.name](seq, setting.seconds))

    async def _in_time(self, seq: int) -> None:
        self._overtaken[seq], self._held = self._held, []
        await super()._dispatch(seq)

    async def _send(self, seq: int) -> None:
        try:
            await super()._send(seq)
        finally:
            for event in self._overtaken.pop(seq, ()):
                event.set()

    async def _twice(self, seq: int, seconds: float) -> None:
        (row,) = self._store.rows([seq])
        body = self._body(row)  # as it is now: by then the task may have been recalled
        await self._in_time(seq)
        await asyncio.sleep(seconds)
        await self._deliver(row, body)

    async def _late(self, seq: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._in_time(seq)

    async def _after_another(self, seq: int, seconds: float) -> None:
        overtaken = asyncio.Event()
        self._held.append(overtaken)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await overtaken.wait()
        await super()._dispatch(seq)
