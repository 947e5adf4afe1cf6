"""Which build of torch is installed, as pip itself says it of an index; nothing comes from the network."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from training import install


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """Writes an empty package."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {other}\n" for other in requires)
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as file:
        for inner, text in (("METADATA", metadata), ("WHEEL", tags), ("RECORD", "")):
            file.writestr(f"{stem}.dist-info/{inner}", text)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the package index."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def torch_version() -> str:
    return install.torch_requirement().removeprefix("torch==")


def test_the_cuda_build_is_recognised(index: Path) -> None:
    wheel(index, "nvidia-cublas", "13.0", "cuda-toolkit")
    wheel(index, "cuda-toolkit", "13.0")
    wheel(index, "torch", torch_version(), "nvidia-cublas")
    found = install.would_install(install.torch_requirement())
    assert sorted(found) == ["cuda-toolkit", "nvidia-cublas", "torch"]
    assert install.is_cuda_build(found)


def test_the_cpu_build_is_recognised(index: Path) -> None:
    wheel(index, "sympy", "1.14")
    wheel(index, "torch", f"{torch_version()}+cpu", "sympy")
    assert not install.is_cuda_build(install.would_install(install.torch_requirement()))


def test_what_is_installed_is_kept() -> None:
    """The tests run with torch."""
    assert install.is_installed(install.torch_requirement())
    assert not install.is_installed("torch==0.1")
    assert not install.is_installed("no-such-package==1")


def test_an_index_without_it_ends_with_a_line_on_what_helps(index: Path) -> None:
    script = (
        "import sys; from training import install; install.is_installed = lambda _: False; sys.exit(install.main())"
    )
    run = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(
        f"error: {install.torch_requirement()} could not be installed; TORCH="
    )
