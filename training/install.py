"""Installs torch as this machine can use it: ``python -m training.install``; ``make test`` and the like run it first.

On a machine without an NVIDIA GPU that is the CPU build (0.8 GB installed). Where the package index has only the CUDA
build for this platform, as PyPI has for Linux, whose libraries take 6 GB, uv fetches it: it knows PyTorch's own index.
``TORCH=index`` takes whatever the package index has.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
UV = "uv==0.13.8"  # --torch-backend: the one installer that knows where the CPU builds are
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")  # what only the CUDA build asks for
DRIVER = Path("/proc/driver/nvidia/version")


def torch_requirement() -> str:
    """The pinned torch, as ``torch==1.2.3``."""
    found = re.search(r"^torch==\S+", REQUIREMENTS.read_text(), re.MULTILINE)
    assert found  # noqa: S101 - the file is ours
    return found[0]


def is_installed(requirement: str) -> bool:
    """Whether this very version is here, of whatever build."""
    name, wanted = requirement.split("==")
    try:
        return version(name).partition("+")[0] == wanted
    except PackageNotFoundError:
        return False


def has_gpu() -> bool:
    """Whether this machine has the driver of an NVIDIA GPU."""
    return DRIVER.exists() or shutil.which("nvidia-smi") is not None


def would_install(requirement: str) -> list[str]:
    """Names of the packages that pip would install for a requirement, nothing of which it does.

    Raises:
        subprocess.CalledProcessError: It is not to be had; pip has said why.
    """
    command = [*_pip(), "--dry-run", "--ignore-installed", "--quiet", "--report", "-", requirement]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - words of this file
    report = json.loads(listed.stdout)
    return [item["metadata"]["name"].lower() for item in report["install"]]


def is_cuda_build(packages: Iterable[str]) -> bool:
    """Whether packages are those of the CUDA build of torch."""
    return any(name.startswith(CUDA_PACKAGES) for name in packages)


def main() -> int:
    """Installs torch, unless it is here.

    Returns:
        The exit status: 0, or 1 after a line on what helps.
    """
    requirement = torch_requirement()
    if is_installed(requirement):
        return 0
    try:
        if os.environ.get("TORCH") == "index" or has_gpu() or not is_cuda_build(would_install(requirement)):
            _run(*_pip(), requirement)
        else:
            _install_cpu_build(requirement)
    except subprocess.CalledProcessError:
        print(
            f"error: {requirement} could not be installed; TORCH=index takes the build of the package index, which may "
            "need 6 GB, and a CPU build that is installed into the virtual environment before is kept",
            file=sys.stderr,
        )
        return 1
    return 0


def _install_cpu_build(requirement: str) -> None:
    _run(*_pip(), "--quiet", UV)
    uv = (sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--torch-backend", "cpu")
    _run(*uv, requirement)
    _run(sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", "uv")  # 37 MB, which nothing else needs


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - words of this file alone


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]


if __name__ == "__main__":
    sys.exit(main())
