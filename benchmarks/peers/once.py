"""Loads the model, answers for one file, and ends: ``python -m benchmarks.peers.once FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.peers import native

if __name__ == "__main__":
    model = native.Model()
    print(json.dumps(model.answer([model.prepare(Path(sys.argv[1]).read_bytes())])[0]))
