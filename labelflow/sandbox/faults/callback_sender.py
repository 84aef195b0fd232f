"""Faults of callbacks: duplicates, delays, another order."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from labelflow.sandbox.database.store import Store
from labelflow.sandbox.faults.sampler import FaultSampler
from labelflow.sandbox.settings.fault_kinds import DUPLICATE_CALLBACK, LATE_CALLBACK, OUT_OF_ORDER_CALLBACK
from labelflow.sandbox.settings.options import Options
from labelflow.sandbox.workers.callback_sender import CallbackSender


class FaultyCallbackSender(CallbackSender):
    """Callback sender with faults. Each attempt, also a retry, may have a fault."""

    def __init__(self, store: Store, options: Options, sampler: FaultSampler, counts: Counter[str]) -> None:
        super().__init__(store, options)
        self._sampler = sampler
        self._counts = counts
        self._held_back: list[asyncio.Event] = []  # of callbacks that wait for the next one
        self._overtaken: dict[int, list[asyncio.Event]] = {}  # the same, by the callback that overtakes them
        self._injectors = {
            DUPLICATE_CALLBACK.name: self._send_twice,
            LATE_CALLBACK.name: self._send_late,
            OUT_OF_ORDER_CALLBACK.name: self._send_after_next,
        }

    async def _dispatch(self, seq: int) -> None:
        setting = self._sampler.sample()
        if setting is None:
            await self._dispatch_now(seq)
            return
        self._counts[setting.kind.name] += 1
        self._sending.start(self._injectors[setting.kind.name](seq, setting.seconds))

    async def _dispatch_now(self, seq: int) -> None:
        self._overtaken[seq], self._held_back = self._held_back, []
        await super()._dispatch(seq)

    async def _send(self, seq: int) -> None:
        try:
            await super()._send(seq)
        finally:
            for event in self._overtaken.pop(seq, ()):
                event.set()

    async def _send_twice(self, seq: int, seconds: float) -> None:
        (row,) = self._store.rows([seq])
        body = self._body(row)  # before the delay, in which the task may be recalled
        await self._dispatch_now(seq)
        await asyncio.sleep(seconds)
        await self._deliver(row, body)

    async def _send_late(self, seq: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._dispatch_now(seq)

    async def _send_after_next(self, seq: int, seconds: float) -> None:
        overtaken = asyncio.Event()
        self._held_back.append(overtaken)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await overtaken.wait()
        await super()._dispatch(seq)
