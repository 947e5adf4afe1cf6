"""BentoML's batcher without its waiting, and with several batches at once.

For its first calls after every start BentoML's holds a lone item back, to learn how a batch's time grows with its size,
and later as long as it has seen others wait. Where the model is busy, it polls every millisecond whether it still is.
Batches gather in the API's queue. In the runner an item is sent at the moment in which the model is free, with whatever
has arrived in the meantime. BentoML's also computes one batch at a time, where the engine has several streams.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from bentoml._internal.marshal import dispatcher


class BatchSlots(dispatcher.NonBlockSema):
    """The slots of one batcher, one for each batch under way; each model has a batcher of its own.

    Attributes:
        most: How many there are, known once the models of this process are open: the most of any of them.
    """

    most: ClassVar[int] = 1

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._taken = 0
        self._freed = asyncio.Event()

    def acquire(self) -> bool:
        """Takes a slot, if one is free."""
        if self.is_locked():
            return False
        self._taken += 1
        return True

    def is_locked(self) -> bool:
        """Whether none is free."""
        return self._taken >= self.most

    def release(self) -> None:
        """Gives one back."""
        self._taken -= 1
        self._freed.set()

    async def wait(self) -> None:
        """Waits until one is free."""
        while self.is_locked():
            self._freed.clear()
            await self._freed.wait()


async def send_all(self: dispatcher.CorkDispatcher[Any, Any]) -> None:
    """Sends what waits, as soon as a slot is free; replaces BentoML's own loop."""
    while True:
        async with self._wake_event:
            await self._wake_event.wait_for(self._queue.__len__)
        await self._sema.wait()  # type: ignore[attr-defined]  # it is a ``BatchSlots``
        if inputs := tuple(self._get_inputs()):
            self._sema.acquire()  # type: ignore[no-untyped-call]
            self._loop.create_task(self.outbound_call(inputs))


def install_batcher() -> None:
    """Makes the batchers of this process, which BentoML makes when it serves, such as this module says."""
    dispatcher.NonBlockSema = BatchSlots  # type: ignore[misc]  # a class is replaced
    dispatcher.CorkDispatcher.controller = send_all  # type: ignore[method-assign]  # as is a method
