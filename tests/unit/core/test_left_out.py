"""What the processes of the server do without: BentoML's parts are there where needed, OpenVINO's converter is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.left_out import CONVERTER, PARSER, SUPERVISOR
from tests.support.served import ROOT

UNUSED = ("circus", "zmq", PARSER, "openvino.tools.ovc", "absl")
LOAD = """
import sys
from core.left_out import leave_out
{leave_out}
import openvino
from _bentoml_impl.server.app import ServiceAppFactory
print(*sorted(name for name in {unused} if sys.modules.get(name)))
{then}
"""


def loaded(leave_out: str, then: str = "") -> list[str]:
    """What of ``UNUSED`` a process has that loads BentoML's server and OpenVINO, and the words that it prints then."""
    code = LOAD.format(leave_out=leave_out, unused=UNUSED, then=then)
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_a_worker_does_not_load_what_it_does_not_use() -> None:
    assert loaded("leave_out()") == []
    assert loaded("") == sorted(UNUSED)  # or there would be nothing to leave out


def test_what_was_left_out_is_loaded_when_it_is_asked_for() -> None:
    then = f"from {SUPERVISOR} import create_dependency_watcher; import {PARSER}; print({PARSER}.Word.__name__)"
    assert loaded("leave_out()", then) == ["Word"]


@pytest.mark.parametrize("name", [SUPERVISOR, PARSER])
def test_another_version_that_takes_more_is_loaded_as_a_whole(name: str) -> None:
    assert PARSER in loaded(f"import core.left_out as it; it.TAKEN[{name!r}] = ('another', None); it.leave_out()")


def test_the_supervisor_is_the_real_one_when_a_worker_calls_it() -> None:
    """Called without a service, it says in its own name what is missing."""
    then = f"""
from _bentoml_impl.server import serve_http
try:
    serve_http()
except TypeError as error:
    print(str(error).split()[0], {SUPERVISOR!r} in sys.modules)
"""
    assert loaded("leave_out()", then) == ["serve_http()", "True"]


def test_a_process_that_is_no_worker_leaves_nothing_out(tmp_path: Path) -> None:
    variables = {**os.environ, "LOG_DIR": str(tmp_path), "DATA_DIR": str(tmp_path)}
    code = f"import service, {CONVERTER}; from _bentoml_impl.server import serve_http; print(serve_http.__module__)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [SUPERVISOR]
