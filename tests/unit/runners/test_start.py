"""What every process of the server loads when it starts; each has a copy, and all of them start at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.served import ROOT

ONLY_WHERE_THEY_ARE_USED = (
    *("api.app", "api.ui", "fastapi", "av", "cv2", "PIL", "soundfile"),  # the API's process
    "openvino",  # the runners'
    "redis",  # the API's, if there is a REDIS_URL
    *("torch", "transformers", "keras", "scipy", "opentelemetry.exporter"),
)


def test_a_process_loads_only_what_it_needs(tmp_path: Path) -> None:
    program = f"import sys, service; print([name for name in {ONLY_WHERE_THEY_ARE_USED!r} if name in sys.modules])"
    variables = {"PATH": "", "LOG_DIR": str(tmp_path), "DATA_DIR": str(tmp_path)}
    command = (sys.executable, "-W", "ignore", "-c", program)
    made = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=120)
    assert made.stdout == "[]\n"
