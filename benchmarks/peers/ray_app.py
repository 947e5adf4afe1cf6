"""Ray Serve with its batching decorator: ``python -m benchmarks.peers.ray_app PORT``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers import native
from benchmarks.workloads import CORES


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Classifier:
    """Decodes each upload, answers for a batch."""

    def __init__(self) -> None:
        """Loads the model in the replica."""
        self.model = native.Model()

    @serve.batch(max_batch_size=native.BATCH, batch_wait_timeout_s=native.BATCH_WAIT_S)  # type: ignore[untyped-decorator]
    async def answer(self, uploads: list[Any]) -> list[native.Prediction]:
        """A batch of prepared uploads."""
        return self.model.answer(uploads)

    async def __call__(self, request: Request) -> native.Prediction:
        """One request."""
        form = await request.form()
        file = await form[native.key()].read()  # type: ignore[union-attr]
        return await self.answer(self.model.prepare(file))  # type: ignore[no-any-return]


if __name__ == "__main__":
    variables = {name: os.environ[name] for name in os.environ if name.startswith("BENCH_")}
    ray.init(
        include_dashboard=False, num_cpus=CORES, logging_level="error",
        object_store_memory=200_000_000, runtime_env={"env_vars": variables}, configure_logging=False,
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Classifier.bind())  # type: ignore[attr-defined]  # the decorator makes a deployment of it
    signal.sigwait([signal.SIGTERM])
    serve.shutdown()
    ray.shutdown()
