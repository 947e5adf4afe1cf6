"""What is known of the request that the running task works for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

from core.errors import ServiceError

Outcome = Literal["ended", "left", "stopped", "refused"]


@dataclass(slots=True)
class StreamState:
    """What a stream came to, for its log line and the metrics.

    Attributes:
        question: What it asked; empty while that is not known to be a question.
        sound_s: Sound that has come in (seconds).
        answers: Windows that were answered.
        failures: Windows that were not: no speech, no room.
        outcome: ``ended`` by the client's word, ``left`` without it, ``stopped`` by a rule, or not let in.
    """

    question: str = ""
    sound_s: float = 0.0
    answers: int = 0
    failures: int = 0
    outcome: Outcome = "refused"


@dataclass(slots=True)
class RequestState:
    """One HTTP request, or one WebSocket.

    Attributes:
        id: Its id, taken from ``x-request-id`` or made here.
        trace_id: The trace that it belongs to, 32 hexadecimal digits; empty when there is none.
        models: Tags of the store entries that have answered for it, in order.
        failure: What a typed method failed with, kept where BentoML would hide it.
        admitted: The models that had room for it.
        on_progress: Called with the progress of each model: its name, windows answered, windows in all.
        stream: What it came to so far, where it is a WebSocket.
    """

    id: str
    trace_id: str = ""
    models: list[str] = field(default_factory=list)
    failure: ServiceError | None = None
    admitted: set[str] = field(default_factory=set)
    on_progress: Callable[[str, int, int], None] | None = None
    stream: StreamState = field(default_factory=StreamState)


CURRENT: ContextVar[RequestState | None] = ContextVar("request", default=None)


@contextlib.contextmanager
def working_for(request_id: str, trace_id: str) -> Iterator[RequestState]:
    """Makes a request the current one, to which all that is logged inside belongs.

    Args:
        request_id: As of ``RequestState``.
        trace_id: As of ``RequestState``.

    Yields:
        What is known of it.
    """
    state = RequestState(request_id, trace_id)
    token = CURRENT.set(state)
    try:
        yield state
    finally:
        CURRENT.reset(token)


def note_model(tag: str) -> None:
    """Remembers that a model has answered for the current request."""
    state = CURRENT.get()
    if state is not None and tag not in state.models:
        state.models.append(tag)


def note_progress(model: str, done: int, total: int) -> None:
    """Reports how far a model is with the current request.

    Args:
        model: Its name.
        done: Windows of the recording that it has answered for.
        total: Windows of the recording.
    """
    state = CURRENT.get()
    if state is not None and state.on_progress is not None:
        state.on_progress(model, done, total)
