"""Puts a published checkpoint into the model store, in the place of a bundled model, for ``PROFILE=published``.

It comes from a hub (``HF_ENDPOINT`` and ``HF_TOKEN`` apply) or from a folder or file that is already here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from models import registry, store
from models.published.checkpoint import PIXELS, CheckpointError
from models.spec import ImageInput
from training.published.hub import open_source
from training.published.importing import CLIPS, FaceOptions, import_checkpoint

REVISION = "branch, tag or commit at the hub; by default the commit imported last from there, at first the newest"
REPLACEABLE = (*CLIPS, "audio_scene", "face_gender")


def main(arguments: Sequence[str] | None = None) -> int:
    """Imports one checkpoint.

    Returns:
        The exit status: 0, or 1 with one line that says why it was refused.
    """
    options = _options(arguments)
    spec = registry.specs()[options.name]
    picture = isinstance(spec.input, ImageInput)
    suffixes = (".keras", ".h5") if picture else (".safetensors",)
    origin = options.origin or spec.reference or ""
    try:
        source = open_source(origin, options.revision or store.recorded_revision(spec, origin), suffixes)
        faces = FaceOptions(tuple(options.classes.split(",")), options.pixels) if options.classes else None
        print(f"{source.origin} {source.revision}, licence {source.licence}: converting and checking", file=sys.stderr)
        print(import_checkpoint(spec, source, faces))
    except (CheckpointError, OSError, ValueError) as error:
        print(f"error: {origin}: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.fetch", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=REPLACEABLE, help=f"of {', '.join(REPLACEABLE)}")
    parser.add_argument("--from", dest="origin", help="hub id, folder or file; by default the model's reference")
    parser.add_argument("--revision", help=REVISION)
    parser.add_argument("--classes", help="classes of a Keras network in the order of its outputs: female,male")
    parser.add_argument("--pixels", choices=PIXELS, help="how a Keras network wants its pixel values")
    options = parser.parse_args(arguments)
    if not options.origin and not registry.specs()[options.name].reference:
        parser.error(f"{options.name} has no published reference: give --from")
    if bool(options.classes) != bool(options.pixels):
        parser.error("--classes and --pixels go together")
    return options


if __name__ == "__main__":
    sys.exit(main())
