"""What is removed from the environment of the tests, and what stays there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.containers.test_manifests import RELEASES
from tests.support.served import ROOT

NEEDLESS = (
    "tensorflow/include/a.h", "torch/test/atest", "torch/bin/test_jit", "torch/bin/FileStoreTest",
    "scipy/fft/tests/a.py", "tornado/test/a.py", "numpy/tests/__pycache__/a.pyc",
    "openvino/libs/libopenvino_intel_gpu_plugin.so", "debugpy/_vendored/a.py", "fontTools/ttLib/a.py",
    "kubernetes_validate/kubernetes-json-schema/v1.30.0-local/a.json",
)  # fmt: skip
NEEDED = (
    "tensorflow/a.so", "torch/bin/torch_shm_manager", "torch/testing/a.py", "scipy/fft/a.py", "numpy/tests/a.py",
    "keras/src/layers/a.py", "openvino/libs/libopenvino_intel_cpu_plugin.so", "fontTools/agl.py",
    "torch/_inductor/codegen/a.py", "torch/lib/libtorch_cpu.so",
    *(f"kubernetes_validate/kubernetes-json-schema/v{release}.0-local/a.json" for release in RELEASES),
)  # fmt: skip


def test_headers_and_tests_go_and_code_stays(tmp_path: Path) -> None:
    """In an environment of its own, whose packages have a file of 1 MiB each."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True, timeout=60)
    (packages,) = tmp_path.glob("lib/python*/site-packages")
    for name in (*NEEDLESS, *NEEDED):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_bytes(bytes(1 << 20))

    def trim(choice: str) -> tuple[str, set[str]]:
        command = [str(tmp_path / "bin" / "python"), "-m", "training.trim"]
        environment = os.environ | {"TRIM": choice}
        run = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True, timeout=60)
        return run.stdout, {name for name in (*NEEDLESS, *NEEDED) if (packages / name).exists()}

    assert trim("no") == ("", {*NEEDLESS, *NEEDED})
    said, left = trim("")
    assert said.startswith("removed 11 MiB ")
    assert left == set(NEEDED)
    assert trim("") == ("", set(NEEDED))
