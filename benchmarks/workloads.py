"""What is measured: which weights answer, what is sent, and how many clients send it for how long."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from core.resources import cores
from models import registry

ROOT = Path(__file__).parent.parent
CACHE = Path(__file__).parent / ".cache"  # full-size weights, and a model store of the benchmark's own
STORE = CACHE / "bentoml"
FULL = Path(os.environ.get("BENCH_FULL") or CACHE / "voice_gender-full")  # ``benchmarks.gpu`` has its own
CORES = cores()


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender's turn.

    Attributes:
        clients: How many send at the same time.
        seconds: How long they do.
        rounds: How often every contender has its turn.
        drain_s: How long answers are waited for after that. A peer goes on with what is no longer waited for, so
            only the last round of the last turn may leave work behind.
        bare: Whether the bare engine has its turn, too.
        last_drain_s: The same in the last round, of a turn after which none follows.
        among: Names of the contenders that take part; all where none is given.
    """

    clients: int
    seconds: float
    rounds: int
    drain_s: float = 5.0
    bare: bool = False
    last_drain_s: float | None = None
    among: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workload:
    """One question, asked of one set of weights.

    Attributes:
        name: In tables and on the command line.
        title: For people.
        model: Of the registry.
        weights: Folder of the native and the compiled form, where they are not the bundled ones.
        bodies: What is sent, as ``benchmarks.load`` calls it.
        route: Where the bundle answers.
        contenders: Who takes part.
        turns: In this order.
        settings: Of the bundle, where they are not its defaults.
        bare_requests: In one pass of the bare engine.
    """

    name: str
    title: str
    model: str
    weights: Path | None
    bodies: str
    route: str
    contenders: tuple[str, ...]
    turns: tuple[Turn, ...]
    settings: tuple[tuple[str, str], ...] = ()
    bare_requests: int = 32

    def folder(self) -> Path:
        """Where the weights are, complete."""
        return self.weights or registry.complete(self.model)


PEERS = ("fastapi", "litserve", "mosec", "ray")
CURVE = ("bundle", "fastapi", "mosec")  # who is asked by any number of clients: the peers that were best at some number
IN_TABLE = (1, 8, 32)  # clients of all contenders


def _with_curve(*turns: Turn) -> tuple[Turn, ...]:
    """Turns of all contenders, and those of a few by other numbers of clients, from few clients to many."""
    return tuple(sorted((*turns, *(Turn(n, 3, 2, among=CURVE) for n in (2, 4, 16, 64))), key=lambda turn: turn.clients))


VOICES = Workload(
    "voices", "compact voice gender, clips of 1 to 15 s", "voice_gender", None,
    "voices", "/api/detect-gender", ("bundle", *PEERS, "mosec-openvino", "process"),
    _with_curve(Turn(1, 3, 2), Turn(8, 3, 2), Turn(32, 4, 3, bare=True)),
)  # fmt: skip
FACES = Workload(
    "faces", "compact face gender, portraits", "face_gender", None, "faces",
    "/api/gender", ("bundle", *PEERS),
    _with_curve(Turn(1, 3, 2), Turn(8, 3, 2), Turn(32, 4, 2, bare=True)),
)  # fmt: skip
WHOLE = Workload(
    "full", "full-size wav2vec2 (315 M parameters, random numbers), clips of 1 to 15 s", "voice_gender", FULL,
    "voices", "/api/detect-gender", ("bundle", *PEERS, "process"),
    (
        Turn(1, 6, 2, 20), Turn(2, 8, 2, 20, among=CURVE), Turn(4, 8, 2, 30, among=CURVE),
        Turn(8, 10, 2, 40, bare=True), Turn(16, 15, 1, 60, among=CURVE), Turn(32, 25, 2, 60),
        Turn(64, 40, 1, 90, among=CURVE, last_drain_s=2),
    ),
    # One large model has all cores, and no request is refused: peers let all wait, too.
    (
        ("PROFILE", "published"), ("RUNNERS", json.dumps({"voice_gender": {"threads": CORES}})),
        ("QUEUE_LATENCY_S", "600"), ("REQUEST_TIMEOUT_S", "600"),
    ), 4,
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in (VOICES, FACES, WHOLE)}


def quick() -> list[Workload]:
    """A short form of the compact workloads, so that the benchmark cannot rot; its figures say little."""
    few = ("bundle", "fastapi", "litserve", "process")
    return [
        replace(VOICES, contenders=few, turns=(Turn(1, 1.5, 1), Turn(8, 1.5, 1, 30, bare=True))),
        replace(FACES, contenders=few[:1], turns=(Turn(8, 1.5, 1),)),
    ]
