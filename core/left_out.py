"""What BentoML and OpenVINO load into each process of the server though nothing there uses it.

It took memory of each of them, and processor time at the start, when all start at once.
"""

from __future__ import annotations

import contextlib
import sys
import typing
from types import ModuleType

WORKER = "_bentoml_impl.worker.service"  # the program that the supervisor starts
# Looks for the converter of models, and does without it where it is missing.
CONVERTER = "openvino.tools"
# What takes the place of a module, and the one name that is taken of it: the supervisor's part, with circus and ZeroMQ,
# which is loaded along with the server's; and a parser whose ``cast`` is that of ``typing`` (BentoML 1.4.39).
SUPERVISOR, PARSER = "_bentoml_impl.server.serving", "pyparsing"
TAKEN = {SUPERVISOR: "serve_http", PARSER: "cast"}


def is_worker() -> bool:
    """Whether this process was started by BentoML's supervisor."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == WORKER


def leave_out() -> None:
    """Loads BentoML's server without what only its supervisor needs, and OpenVINO, later, without its converter.

    To be called in a process that serves before either is loaded.
    """
    sys.modules.setdefault(CONVERTER, None)  # type: ignore[arg-type]  # None makes an import fail
    stand_ins = {name: ModuleType(name) for name in TAKEN if name not in sys.modules}
    for name, module in stand_ins.items():
        setattr(module, TAKEN[name], typing.cast)
    sys.modules.update(stand_ins)
    with contextlib.suppress(ImportError):  # of another version that takes more of them: it is then loaded as a whole
        import _bentoml_impl.server.app  # noqa: F401
    for name in stand_ins:
        sys.modules.pop(name, None)
