"""Swagger UI in Brotli, for ``/docs``: ``python -m tests.support.packed_pages`` writes ``api/pages/*.br``.

To be run when ``fastapi-offline`` is another version; a test in a browser compares the files with those of the package.
Node.js compresses: it is here for the clients, and Python has no Brotli of its own.
"""

from __future__ import annotations

import subprocess

from api.static import ASSETS, BROTLI_FILES
from tests.support.programs import program

# At the highest level, which makes 334 kB of a bundle of 1.5 MB (gzip: 412 kB).
SCRIPT = """
const { readFileSync, writeFileSync } = require("fs");
const { brotliCompressSync, constants } = require("zlib");
const [source, target] = process.argv.slice(1);
const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
writeFileSync(target, brotliCompressSync(readFileSync(source), { params }));
"""


def main() -> None:
    """Writes the files."""
    for name, target in BROTLI_FILES.items():
        source = ASSETS[name][0] / name
        subprocess.run([program("node"), "-e", SCRIPT, str(source), str(target)], check=True)
        print(f"{target.name}: {source.stat().st_size} to {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
