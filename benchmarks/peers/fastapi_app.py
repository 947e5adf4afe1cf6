"""FastAPI with the ``transformers`` pipeline, or a bundled model's native network: ``... fastapi_app PORT``.

Decoding runs in the thread pool; the model answers one request at a time, on all cores.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from transformers import pipeline

from benchmarks.peers import native
from benchmarks.workloads import CORES

app = FastAPI()
one_at_a_time = threading.Lock()
torch.set_num_threads(CORES)


def build() -> Any:
    """Makes what answers for a file's bytes."""
    if native.bundled():  # no network of transformers' own
        model = native.Model()

        def answer_bundled(file: bytes) -> native.Prediction:
            prepared = model.prepare(file)
            with one_at_a_time:
                return model.answer([prepared])[0]

        return answer_bundled
    kind = native.opened(native.workload())[0].input
    device = os.environ.get("BENCH_DEVICE", "cpu")
    kinds = {"cpu": torch.float32, "cuda": torch.bfloat16}
    classify = pipeline("audio-classification", model=str(native.folder()), device=device, dtype=kinds[device])

    def answer_voice(file: bytes) -> native.Prediction:
        windows = native.read(kind, file)
        with one_at_a_time:
            rows = classify([{"raw": window, "sampling_rate": 16_000} for window in windows])
        scores: dict[str, float] = {}
        for row in rows:
            for item in row:
                scores[item["label"]] = scores.get(item["label"], 0.0) + item["score"] / len(rows)
        return [{"label": label, "score": score} for label, score in sorted(scores.items(), key=lambda pair: -pair[1])]

    return answer_voice


answer = build()


@app.post("/")
async def classify_upload(request: Request) -> Any:
    """Answers for the file of a form."""
    form = await request.form()
    return await run_in_threadpool(answer, await form[native.key()].read())  # type: ignore[union-attr]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
