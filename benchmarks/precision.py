"""How far bfloat16 moves what is answered: ``python -m benchmarks.precision`` (DATASETS_DIR).

Each model that would gain by it (``engine.compiled``) answers all clips of the validation parts in both forms, the way
of a request. The table goes into ``benchmarks/engines.md``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from core.settings import Settings
from engine.compiled import computes_bf16
from engine.predictor import Predictor
from models import registry
from training.data.datasets import Clip, datasets_dir, read_manifest
from training.evaluation.answers import answer

SETS: Mapping[str, tuple[str, ...]] = {
    "voice_gender": ("voice_gender", "voice_gender_more"),
    "audio_scene": ("audio_scenes", "audio_scenes_more"),
    "deepfake_encoder": ("voice_deepfake", "voice_deepfake_more"),
    "face_gender": ("face_gender", "face_gender_more"),
}
TABLE = Path(__file__).parent / "engines.md"
BLOCK = re.compile(r"(<!-- bfloat16 -->\n).*?(<!-- end -->)", re.DOTALL)


def moved(name: str, clips: Sequence[Clip]) -> dict[str, Any]:
    """Compares the two forms of a model on clips.

    Returns:
        How many ``clips``; the ``largest`` difference of a probability and that of all but one clip in a hundred
        (``p99``); how many decisions are ``others``, and the ``surest`` probability of a decision that is.
    """
    exact, reduced = (
        answer(Predictor.bundled(name, Settings(engine="compiled", precision=precision)), clips).served
        for precision in ("f32", "bf16")
    )
    differences = np.abs(exact - reduced).max(axis=1)
    others = exact.argmax(axis=1) != reduced.argmax(axis=1)
    return {
        "clips": len(clips),
        "largest": float(differences.max()),
        "p99": float(np.quantile(differences, 0.99)),
        "others": int(others.sum()),
        "surest": float(exact.max(axis=1)[others].max(initial=0.0)),
    }


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What was found, in Markdown."""
    lines = ["| model | clips | moved at most | 99 of 100 at most | other decisions | the surest of them |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, one in found.items():
        surest = f"{one['surest']:.3f}" if one["others"] else ""
        cells = (registry.specs()[name].title, one["clips"], f"{one['largest']:.4f}", f"{one['p99']:.4f}")
        lines.append("| " + " | ".join(str(cell) for cell in (*cells, one["others"], surest)) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETS)}; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    options = parser.parse_args(arguments)
    if not computes_bf16(ov.Core()):
        parser.error("this processor does not compute bfloat16")
    data, found = datasets_dir(options.data), {}
    for name in options.names or SETS:
        found[name] = moved(name, [clip for part in SETS[name] for clip in read_manifest(data / part, "val")])
    print(table(found), end="")
    if not options.names:
        TABLE.write_text(BLOCK.sub(lambda match: match[1] + table(found) + match[2], TABLE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
