"""Hosts of their own on one machine: network namespaces on a bridge, as root."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.containers.podman import COMMAND_S, run
from tests.support.served import ROOT, descendants, environment

BRIDGE = "bundle-br"
# A network for tests of network devices (RFC 2544), which nothing real has.
NETWORK = "198.18.77"
GATEWAY = f"{NETWORK}.254"
PORT = 3000
END_S = 60.0  # for a program that was killed
NAMES = Path("/etc/netns")  # `ip netns exec` puts the files of a namespace over those of /etc


@dataclass(eq=False)
class Host:
    """A network namespace with one address for each program that it runs.

    Attributes:
        name: Of the namespace.
        number: Last part of its address.
    """

    name: str
    number: int
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Its address."""
        return f"{NETWORK}.{self.number}"

    @property
    def cable(self) -> str:
        """The end of its cable that is in the bridge."""
        return f"bundle-{self.number}"

    def up(self) -> None:
        """Puts it on the bridge."""
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", self.cable, "master", BRIDGE, "up")
        self.inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            self.inside("ip", "link", "set", device, "up")

    def inside(self, *command: str) -> str:
        """Runs a program on it."""
        return run("ip", "netns", "exec", self.name, *command)

    def knows(self, names: Mapping[str, Sequence[str]]) -> None:
        """Tells it the addresses behind names."""
        folder = NAMES / self.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
        (folder / "hosts").write_text("\n".join(("127.0.0.1 localhost", *lines)) + "\n")

    def start(self, folder: Path, store: Path, settings: dict[str, str], *arguments: str, port: int = PORT) -> None:
        """Starts one service of the bundle on it.

        Args:
            folder: Holds its files; made new.
            store: A BentoML home, whose models it gets.
            settings: Environment variables.
            *arguments: Further ones of ``start-http-server``.
            port: Where it listens.
        """
        (folder / "bentoml").mkdir(parents=True)
        (folder / "bentoml" / "models").symlink_to(store / "models")
        variables = environment(folder, port, settings | {"HOST": self.address}) | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "bentoml_cli._internal.start", "start-http-server", "service:MediaClassifier"]
        command += ["--host", self.address, "--port", str(port), *arguments]
        with (folder / "log").open("wb") as output:
            program = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                cwd=folder / "tmp", env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.programs.append(program)

    def cut_off(self) -> None:
        """Drops every packet that comes to it or goes from it, as a broken cable does: without a reset."""
        self.inside("iptables", "-I", "INPUT", "-i", "eth0", "-j", "DROP")
        self.inside("iptables", "-I", "OUTPUT", "-o", "eth0", "-j", "DROP")

    def restore(self) -> None:
        """Ends ``cut_off``."""
        self.inside("iptables", "-F")

    def down(self) -> None:
        """Ends its programs and removes it."""
        for program in self.programs:
            for process in [*descendants(program.pid), program.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            program.wait(END_S)
        with contextlib.suppress(FileNotFoundError):
            (NAMES / self.name / "hosts").unlink()
            (NAMES / self.name).rmdir()
        run("ip", "link", "delete", self.cable)
        run("ip", "netns", "delete", self.name)


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Hosts that reach one another, and that this machine reaches; it is ``GATEWAY`` to them."""
    made: list[Host] = []
    _clear(names)
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for number, name in enumerate(names, 1):
            made.append(Host(f"bundle-{name}", number))
            made[-1].up()
        yield made
    finally:
        for host in made:
            host.down()
        run("ip", "link", "delete", BRIDGE)


def _clear(names: Sequence[str]) -> None:
    """Removes what a run that was killed has left."""
    for number, name in enumerate(names, 1):
        for leftover in (("link", "delete", f"bundle-{number}"), ("netns", "delete", f"bundle-{name}")):
            subprocess.run(["ip", *leftover], stderr=subprocess.DEVNULL, check=False, timeout=COMMAND_S)
    command = ["ip", "link", "delete", BRIDGE]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=False, timeout=COMMAND_S)
