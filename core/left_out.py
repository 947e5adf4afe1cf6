"""What BentoML and OpenVINO load into each process of the server though nothing there uses it.

It took memory of each of them, and processor time at the start, when all start at once.
"""

from __future__ import annotations

import contextlib
import sys
import typing
from types import ModuleType
from typing import Any

WORKER = "_bentoml_impl.worker.service"  # the program that the supervisor starts
# Looks for the converter of models, and does without it where it is missing.
CONVERTER = "openvino.tools"
# Two modules that the server's import loads along with it: the supervisor's part, with circus and ZeroMQ, and a parser
# whose ``cast`` is that of ``typing``. The server of BentoML 1.4.39, which is pinned, takes one name of each.
SUPERVISOR, PARSER = "_bentoml_impl.server.serving", "pyparsing"


def _serve_http(*arguments: Any, **options: Any) -> Any:
    """The supervisor's own, which is loaded when it is called."""
    from _bentoml_impl.server.serving import serve_http

    return serve_http(*arguments, **options)


# What takes the place of a module: that name, and its value.
TAKEN: dict[str, tuple[str, Any]] = {SUPERVISOR: ("serve_http", _serve_http), PARSER: ("cast", typing.cast)}


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
        setattr(module, *TAKEN[name])
    sys.modules.update(stand_ins)
    # Of another version that takes more of them: it is then loaded as a whole.
    with contextlib.suppress(ImportError, AttributeError):
        import _bentoml_impl.server.app  # noqa: F401
    for name in stand_ins:
        sys.modules.pop(name, None)
