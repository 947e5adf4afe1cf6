"""A program that the fork server's copies run in tests: it writes what it finds into the file that is named last."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

FOUND = {
    "arguments": sys.argv[1:],
    "name": __name__,
    "folder": str(Path.cwd()),
    "path": sys.path[0],
    "environment": dict(os.environ),
    "parent": os.getppid(),
    "session": os.getsid(0) == os.getpid(),
    "input": sys.stdin.read(),
    "socket": socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1])).getsockname(),
    "modules": sorted(sys.modules),
}

if __name__ == "__main__":
    written = Path(sys.argv[-1])
    written.with_suffix(".part").write_text(json.dumps(FOUND))
    written.with_suffix(".part").replace(written)
    if "wait" in sys.argv:
        time.sleep(600)
    sys.exit(3)
