"""The reference's own way: the upload goes to a file, and a Python process is started to answer for it.

``python -m benchmarks.peers.process_app PORT``; see the reference's voice gender backend (Node starts ``python``).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response

from benchmarks.peers import native

app = FastAPI()


@app.post("/")
async def classify_upload(request: Request) -> Any:
    """Answers for the file of a form."""
    form = await request.form()
    with tempfile.NamedTemporaryFile() as file:
        file.write(await form[native.key()].read())  # type: ignore[union-attr]
        file.flush()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.peers.once", file.name, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    return Response(out, 200 if process.returncode == 0 else 500, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
