"""What every process of the server loads when it starts; each has a copy, and all of them start at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models import registry
from tests.support.served import ROOT

ONLY_WHERE_THEY_ARE_USED = (
    *("api.app", "api.ui", "fastapi", "av", "cv2", "PIL", "soundfile"),  # the API's process
    "openvino",  # the runners'
    "redis",  # the API's, if there is a REDIS_URL
    *("torch", "transformers", "keras", "tensorflow", "scipy", "opentelemetry.exporter"),
)


def loaded(program: str, names: tuple[str, ...], folder: Path, *arguments: str, **settings: str) -> list[str]:
    """Which modules a process has loaded when its program is through."""
    program = f"import sys; {program}; print(*[name for name in {names!r} if name in sys.modules])"
    variables = {"PATH": "", "LOG_DIR": str(folder), "DATA_DIR": str(folder), "OMP_NUM_THREADS": "1", **settings}
    command = (sys.executable, "-W", "ignore", "-c", program, *arguments)
    made = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=120)
    return made.stdout.split()


def test_a_process_loads_only_what_it_needs(tmp_path: Path) -> None:
    assert loaded("import service", ONLY_WHERE_THEY_ARE_USED, tmp_path) == []


FACE = "face_gender"
TORCH = tuple(name for name in registry.specs() if name != FACE)


@pytest.mark.parametrize(("models", "library"), [(TORCH, "torch"), ((FACE,), "keras")])
def test_native_networks_load_neither_training_nor_the_compiled_engine(
    models: tuple[str, ...], library: str, tmp_path: Path
) -> None:
    """Every model, and where its parts have never been put together for the compiled engine."""
    answer = (
        "import pathlib; from models import registry; registry.COMPLETED = pathlib.Path(sys.argv[1]); "
        "from engine.predictor import Predictor; found = [Predictor.bundled(name) for name in sys.argv[2:]]; "
        "assert all(one.engine.description == 'native-cpu-f32' for one in found); "
        "assert all(one.warm_up().kind == 'ok' for one in found)"
    )
    names = tuple({library, "training", "openvino", "keras"})
    assert loaded(answer, names, tmp_path, str(tmp_path), *models, ENGINE="native", DEVICE="cpu") == [library]
    assert not list(tmp_path.glob("voice_gender-*"))
