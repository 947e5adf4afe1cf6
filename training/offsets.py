"""Replaces the values of a compiled form by their offsets in the native file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

SMALL = 64  # bytes of a constant of the graph (a shape, an axis, a scalar)


def write_offsets(compiled: Path, held: Mapping[bytes, tuple[str, list[Any]]]) -> None:
    """Writes the offsets of a graph's values in the native file beside it, and removes the values.

    Args:
        compiled: The graph (``.xml``), with its values (``.bin``) beside it.
        held: For the bytes of each of its larger constants the list of ``models.values.filled`` that it is for, and
            its entry there but for the first number.

    Raises:
        ValueError: A large constant is not held.
    """
    values = compiled.with_suffix(".bin")
    content = values.read_bytes()
    offsets: dict[str, Any] = {"bytes": len(content), "copied": [], "constants": []}
    constants = ElementTree.parse(compiled).iterfind(".//layer[@type='Const']/data")  # noqa: S314 - ours
    for target, size in {(int(one.attrib["offset"]), int(one.attrib["size"])) for one in constants}:
        part = content[target : target + size]
        if part in held:
            kind, entry = held[part]
            offsets.setdefault(kind, []).append([target, *entry])
        elif size <= SMALL:
            offsets["constants"].append([target, part.hex()])
        else:
            raise ValueError(f"the native file lacks {size} bytes of the compiled form")
    values.unlink()
    ordered = {kind: sorted(entries) if isinstance(entries, list) else entries for kind, entries in offsets.items()}
    compiled.with_suffix(".json").write_text(json.dumps(ordered) + "\n")
