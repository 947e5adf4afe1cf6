"""How much labelled speech is refused for holding none, and how much else is not: ``python -m training.refused``.

Recordings that the layer that tells speech (``training.encoder``) was not fitted on go the way of a request about a
voice. The table goes to ``training/refused.json`` and into the card of voice gender.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.errors import Unprocessable
from engine.predictor import Predictor
from tasks.base import follow
from training.data.datasets import Clip, datasets_dir, read_manifest
from training.encoder import SPEECH_SETS, clear
from training.evaluation import answers, tables
from training.evaluation.groups import LANGUAGES
from training.fitting.sound import SOUNDS

RESULTS = Path(__file__).parent / "refused.json"
BLOCK = "voice_gender-refused"
OTHER_SETS = ("voice_deepfake", "voice_deepfake_more")  # in which the layer has not met a clip
MIXED = "bigvgan-demo"  # a repository of samples that are labelled as speech, many of which are music
SPOKEN, NOT_SPOKEN = "speech", "no speech"
# Refused at most of what is speech, and at least of what is none.
MOST, LEAST = 0.005, 0.95

Figures = Mapping[str, Mapping[str, Any]]


def recordings(data: Path) -> Iterator[tuple[str, str, Clip]]:
    """Each recording, what it is, and whether that is speech."""
    for name in SPEECH_SETS:
        for clip in read_manifest(data / name, "val"):
            if clip.label not in SOUNDS:
                yield "voices and scenes", SPOKEN, clip
            elif clip.label == "music":
                yield "music" if clear(clip) else "songs", NOT_SPOKEN if clear(clip) else "", clip
            else:
                yield clip.label, NOT_SPOKEN, clip
    for name in OTHER_SETS:
        for clip in (*read_manifest(data / name, "train"), *read_manifest(data / name, "val")):
            if MIXED in clip.fields["source"]:
                yield "samples of BigVGAN, many of them music", "", clip
            else:
                yield LANGUAGES[clip.fields["language"]], SPOKEN, clip


def measure(data: Path) -> dict[str, dict[str, Any]]:
    """How many recordings of each kind there are, and how many of them are refused for holding no speech."""
    predictor = Predictor.bundled("voice_gender")
    spec, clips, refused, kinds = predictor.spec, Counter[str](), Counter[str](), dict[str, str]()
    for title, kind, clip in tqdm(list(recordings(data)), unit="clip", mininterval=5):
        kinds[title] = kind
        clips[title] += 1
        try:
            audio = answers.load(clip, spec)
            follow(answers.steps(spec, audio), {spec.name: spec}, lambda _, windows: predictor.answer(windows))
        except Unprocessable:
            refused[title] += 1
    return {title: {"kind": kind, "clips": clips[title], "refused": refused[title]} for title, kind in kinds.items()}


def table(found: Figures) -> str:
    """The table of the card."""
    lines = ["| recordings | clips | refused | |", "| --- | ---: | ---: | --- |"]
    lines += [f"| {title} | {one['clips']} | {one['refused']} | {one['kind']} |" for title, one in found.items()]
    for kind in (SPOKEN, NOT_SPOKEN):
        of_kind = [one for one in found.values() if one["kind"] == kind]
        clips, refused = (sum(one[name] for one in of_kind) for name in ("clips", "refused"))
        share = refused / clips
        met = share <= MOST if kind == SPOKEN else share >= LEAST
        aim = f"at most {MOST:.1%}" if kind == SPOKEN else f"at least {LEAST:.0%}"
        lines.append(
            f"| **all {kind}** | {clips} | {refused} ({share:.1%}) | {aim}: {'met' if met else '**missed**'} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and keeps the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.refused", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    options = parser.parse_args(arguments)
    found = measure(datasets_dir(options.data))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    tables.write_block(BLOCK, table(found))
    print(table(found), end="")


if __name__ == "__main__":
    main()
