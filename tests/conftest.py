"""Fixtures that all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest

# Before anything imports BentoML: a store of the tests' own, and no setting of the shell or of a developer's ``.env``.
STORE = Path(tempfile.mkdtemp(prefix="bundle-store-"))
os.environ["BENTOML_HOME"] = str(STORE)
atexit.register(shutil.rmtree, STORE, ignore_errors=True)
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the service, before NumPy is loaded: sums are taken in one order

from core.settings import Settings  # noqa: E402
from tests.support.audio_bytes import Signal, speech, tone, wav  # noqa: E402
from tests.support.programs import missing, program  # noqa: E402
from tests.support.redis_server import redis_server, redis_url  # noqa: E402, F401 - fixtures
from tests.support.served import DATA, ROOT, Bundle, serve  # noqa: E402
from tests.support.site_thread import LocalSite, local_site  # noqa: E402

# On a developer's machine each run looks elsewhere; in CI a run that passed passes again.
# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("local", deadline=None)
# `make mutants` asks whether a changed program fails, and not for its shortest failure.
hypothesis.settings.register_profile(
    "mutants", derandomize=True, deadline=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

Settings.model_config["env_file"] = None
for _name in Settings.model_fields:
    os.environ.pop(_name.upper(), None)
for _name in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[_name]


# Groups of few tests that take long: several processes begin with these, so that none is left to one at the end. The
# order matters only with ``--no-loadscope-reorder`` (Makefile): without it pytest-xdist begins with the largest groups.
LONG = (
    "tests/serving/test_resilience.py",
    "tests/serving/test_one_path.py",
    "tests/docs/test_sixth_model.py",
    "tests/unit/training/test_fetch_checkpoints.py",
    "tests/serving/test_bento.py",
    "clients",
    "tests/docs/test_commands.py",
    "tests/serving/test_installed.py",
    "tests/serving/test_model_entries.py",
    "tests/serving/test_long_recordings.py",
    "tests/serving/test_secrets.py",
    "tests/serving/test_stopping.py",
    "tests/serving/test_together.py",
    "tests/serving/test_memory.py",
)
OF_CLIENTS = {"made_clients", "node_modules"}  # fixtures that write into ``clients/``


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests one process runs where there are several (``--dist loadgroup``): those of a module, as they stand.

    Modules that write into the same folder of the source tree are one group. After ``LONG``, that of most tests leads.
    """
    fixtures = {item: set(getattr(item, "fixturenames", ())) for item in items}
    of_clients = {item.path for item, names in fixtures.items() if names & OF_CLIENTS}
    groups: dict[pytest.Item, str] = {}
    for item in items:
        group = "clients" if item.path in of_clients else item.path.relative_to(ROOT).as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
        groups[item] = group
    if "PYTEST_XDIST_WORKER" in os.environ:
        sizes, ranks = Counter(groups.values()), {group: rank for rank, group in enumerate(LONG)}
        items.sort(key=lambda item: (ranks.get(groups[item], len(LONG)), -sizes[groups[item]], groups[item]))


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked ``anyio`` run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def store() -> Path:
    """A BentoML home with the bundled models in it."""
    from models import save

    assert save.main([]) == 0
    return STORE


@pytest.fixture(scope="session")
def bundle(store: Path) -> Iterator[Bundle]:
    """The bundle, served with all its processes, in its usual settings."""
    with serve(store, {}) as running:
        yield running


@pytest.fixture(scope="session")
def small_bundle(store: Path) -> Iterator[Bundle]:
    """The same with two API workers, limits that are easily reached, and no key."""
    settings = {
        "API_KEY": "", "API_KEYS": "", "API_WORKERS": "2", "MAX_BODY_MB": "0.5", "MAX_AUDIO_SECONDS": "6",
        "REQUEST_TIMEOUT_S": "5", "FETCH_TIMEOUT_S": "3", "QUEUE_LATENCY_S": "0.0001",
        "CORS_ORIGINS": "https://a.example, https://b.example", "MAX_IMAGE_MEGAPIXELS": "0.5",
        "HEAD_TIMEOUT_S": "2",
    }  # fmt: skip
    with serve(store, settings) as running:
        yield running


@pytest.fixture
def client(bundle: Bundle) -> Iterator[httpx.Client]:
    """An HTTP client for the bundle."""
    with bundle.client() as made:
        yield made


@pytest.fixture
def small_client(small_bundle: Bundle) -> Iterator[httpx.Client]:
    """An HTTP client for the bundle with small limits."""
    with small_bundle.client() as made:
        yield made


@pytest.fixture(scope="session")
def site() -> Iterator[LocalSite]:
    """A web server whose address the bundle may reach."""
    with local_site() as running:
        yield running


@pytest.fixture(scope="session")
def node_modules() -> None:
    """The Node.js packages of ``clients/typescript``."""
    program("node")
    program("npm")
    command = ["make", "clients/typescript/node_modules/.package-lock.json", f"VENV={sys.prefix}"]
    made = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=240)
    if made.returncode:
        missing(f"what `npm ci` installs ({made.stderr.strip()[-300:]})")


@pytest.fixture(scope="session")
def made_clients(node_modules: None) -> None:
    """The Python and TypeScript clients, generated anew from the document, which is linted; the latter compiled."""
    command = ["make", "clients", f"VENV={sys.prefix}"]
    made = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=240)
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="session")
def voice() -> bytes:
    """A man reading English, FLAC."""
    return (DATA / "voices" / "male_1.flac").read_bytes()


@pytest.fixture(scope="session")
def face() -> bytes:
    """A portrait of a woman, JPEG."""
    return (DATA / "faces" / "female_1.jpg").read_bytes()


@pytest.fixture(scope="session")
def signal() -> Signal:
    """Two seconds of a tone, float32 [frames, 1] at 16 kHz."""
    return tone(16_000, 2.0)


@pytest.fixture(scope="session")
def wav_file() -> bytes:
    """Two seconds of a voice as a WAV file."""
    return wav(speech(2.0), 16_000)
