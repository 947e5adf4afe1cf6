"""Adds every model that a deployment's files do not name yet: ``python deploy/add_models.py [FOLDER]``.

What a file says of ``voice_gender`` is repeated for the model that is missing, with its names. So Compose, Kubernetes,
KEDA and Prometheus are told of a new model by one command, and what is special to it is edited afterwards.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # this file is not in a package

from models import registry  # noqa: E402

REPEATED = "voice_gender"
RUNNERS = Path("kubernetes/base/runners")
PASSAGES = {  # by file, what is repeated
    "compose.yaml": (r" +- VoiceGender=.*\n", r"voice-gender, ", r"(?m)^  voice-gender:\n(?: {4}.*\n)+"),
    "observability/prometheus/prometheus.yml": (r" +- voice-gender\n",),
    "kubernetes/base/kustomization.yaml": (r" +- runners/voice-gender\n",),
    "kubernetes/base/api/deployment.yaml": (r" +- VoiceGender=.*\n",),
    "kubernetes/base/runner_settings.env": (r'"voice_gender": \{[^}]*\}, ',),
    "kubernetes/overlays/keda/scalers.yaml": (
        r"---\n(?:(?!---)(?!.*voice-gender).*\n)*.*voice-gender(?:(?!---).*\n)*",
    ),
}


def renamed(passage: str, name: str) -> str:
    """A passage about ``REPEATED`` as one about another model."""
    names = {
        REPEATED: name,
        "voice-gender": name.replace("_", "-"),
        "VOICE_GENDER": name.upper(),
        "VoiceGender": registry.specs()[name].runner,
    }
    return re.sub("|".join(names), lambda found: names[found[0]], passage)


def extended(text: str, pattern: str, name: str) -> str:
    """A file's text in which a passage is repeated for a model, unless it has it already.

    Raises:
        ValueError: The passage is not there to be repeated.
    """
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"there is no {pattern!r} to repeat")
    addition = renamed(found[0], name)
    last = addition.rstrip(", ") + "}"  # of a JSON object
    document = addition.removeprefix("---\n").rstrip("\n")  # the first of a file has no such line before it
    known = document in text or last in text
    return text if known else text[: found.end()] + addition + text[found.end() :]


def main(folder: Path) -> None:
    """Adds what is missing to the files below a folder."""
    for name in registry.specs():
        for file, patterns in PASSAGES.items():
            text = (folder / file).read_text()
            for pattern in patterns:
                text = extended(text, pattern, name)
            (folder / file).write_text(text)
        own = folder / RUNNERS / name.replace("_", "-") / "kustomization.yaml"
        if not own.exists():
            own.parent.mkdir()
            own.write_text(renamed((folder / RUNNERS / "voice-gender" / own.name).read_text(), name))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
