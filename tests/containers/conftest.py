"""The image, built once for all tests of containers, from a base that needs no registry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.figures import note
from tests.containers.podman import BUILD_S, HOST, podman, run
from tests.support.served import KEY
from tests.support.site_thread import LocalSite, local_site

BASE = "localhost/bundle-base:bookworm"
REDIS = "localhost/bundle-redis:bookworm"
OFFICIAL = "localhost/bundle-base:official"
IMAGE = "localhost/media-classifier:test"
# A key of the person who builds the image, in the environment of the build.
BUILDERS_KEY = "builders-key-5d20c8"

# Settings under which a container answers all five questions about the samples of ``site``.
SETTINGS = {"API_KEY": KEY, "ALLOWED_PRIVATE_HOSTS": HOST}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is run by ``make test-containers`` alone; building may take minutes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("containers")
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def base() -> str:
    """Tag of a base image with Python, made of Debian's packages, and with what the official one has beside Python."""
    run("deploy/base", BASE, "python3", "python3-venv", timeout_s=BUILD_S)
    options = ("--network=none", f"--build-arg=BASE={BASE}", "--file=tests/containers/official.Containerfile")
    podman("build", "--quiet", *options, f"--tag={OFFICIAL}", "deploy")
    return OFFICIAL


@pytest.fixture(scope="session")
def image(base: str) -> str:
    """Tag of the serving image, built by ``make image``."""
    started = time.monotonic()
    variables = {"BASE": base, "CONTAINER_ENGINE": "podman", "API_KEY": BUILDERS_KEY}
    run("make", "image", f"IMAGE={IMAGE}", variables=variables, timeout_s=BUILD_S)
    note({"`make image`, wheels and layers of an earlier build included": f"{time.monotonic() - started:.0f} s"})
    return IMAGE


@pytest.fixture(scope="session")
def redis_image() -> str:
    """Tag of an image with Redis."""
    run("deploy/base", REDIS, "redis-server", timeout_s=BUILD_S)
    return REDIS


@pytest.fixture(scope="session")
def site() -> Iterator[LocalSite]:
    """A web server on this machine that containers may reach."""
    with local_site("0.0.0.0", HOST) as running:
        yield running
