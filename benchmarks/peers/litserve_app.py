"""LitServe with its dynamic batching: ``python -m benchmarks.peers.litserve_app PORT``.

LitServe reads the annotations of ``decode_request`` as they are: they must not be strings.
"""

import sys
from typing import Any

import litserve
from fastapi import Request

from benchmarks.peers import native


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Decodes each upload, answers for a batch."""

    def setup(self, device: str) -> None:
        """Loads the model in the worker."""
        self.model = native.Model()

    def decode_request(self, request: Request) -> Any:
        """Bytes to features; LitServe has read the form already."""
        upload: Any = request[native.key()]
        return self.model.prepare(upload.file.read())

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Keeps the uploads apart: they are padded together in ``predict``."""
        return inputs

    def predict(self, inputs: list[Any]) -> list[native.Prediction]:
        """Answers for a batch."""
        return self.model.answer(inputs)

    def unbatch(self, output: list[Any]) -> list[Any]:
        """One answer for each upload."""
        return output

    def encode_response(self, output: native.Prediction) -> dict[str, Any]:
        """The JSON body."""
        return {"answer": output}


if __name__ == "__main__":
    api = Api(api_path="/", max_batch_size=native.BATCH, batch_timeout=native.BATCH_WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=600)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
