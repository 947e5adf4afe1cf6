"""Removes from the environment what its packages carry and nothing reads: ``python -m training.trim``.

``make test`` and the like run it after pip. These are files for those who compile against a package or test the package
itself, and parts of it that nothing here imports; without them the development environment is 1.0 GB smaller.
``TRIM=no`` keeps them, and ``pip install --force-reinstall`` of a package brings them back.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

# By package, patterns below its folder. What is in ``__pycache__`` is compiled again where it is imported.
NEEDLESS = {
    "tensorflow": ("include",),  # headers of C++, 0.4 GB
    "torch": ("include", "test", "bin/*[Tt]est*", "bin/protoc*"),  # headers and compiled tests of C++, 0.2 GB
    "openvino": ("include", "libs/*_intel_[gn]pu_plugin*", "libs/cache.json"),  # Intel's GPU and NPU
    "clang": ("native",),  # reads headers, which TensorFlow asks for and only its builders use
    "kubernetes_validate": ("kubernetes-json-schema/v1.2[!7].*", "kubernetes-json-schema/v1.3[!5].*"),  # other releases
    "transformers": ("models/*/__pycache__",),  # of 400 models, three of which are imported, and then compiled again
    "playwright": ("driver/node",),  # its tests take the Node.js of the machine
    "jedi": ("third_party",),  # stubs of packages, for completion at the prompt of IPython
    "debugpy": ("*",),  # steps through notebooks in an editor; ipykernel does without
    # Fonts in PDF and PostScript; figures are PNG and JPEG, and of this the names of glyphs alone are read.
    "fontTools": ("*Lib", "cu2qu", "qu2cu", "pens", "subset", "misc/*.so", "misc/*.c"),
    "mypy": ("**/__pycache__",),  # its modules are compiled to C
    "mypyc": ("**/test", "**/__pycache__"),
    "numpy": ("**/tests/__pycache__",),  # its tests themselves stay: ``numpy.testing`` imports from them
    "tornado": ("test",),
    # Their own tests.
    **dict.fromkeys(("matplotlib", "mpmath", "networkx", "numba", "scipy", "sklearn", "sympy"), ("**/tests",)),
}
MIB = 1 << 20


def needless(packages: Path) -> list[Path]:
    """What there is to remove.

    Args:
        packages: The folder of installed packages.
    """
    return [path for name, patterns in NEEDLESS.items() for one in patterns for path in (packages / name).glob(one)]


def size(path: Path) -> int:
    """What a file, or a folder with all that is in it, takes (bytes)."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def main() -> int:
    """Removes it, from a virtual environment alone.

    Returns:
        The exit status: 0.
    """
    if os.environ.get("TRIM") == "no" or sys.prefix == sys.base_prefix:
        return 0
    removed = 0  # bytes
    for path in needless(Path(sysconfig.get_path("purelib"))):
        if path.exists():  # and was not within another
            removed += size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if removed:
        print(f"removed {removed // MIB} MiB of headers, tests and unused parts of packages (TRIM=no keeps them)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
