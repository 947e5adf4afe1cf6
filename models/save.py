"""Saves the bundled models into the BentoML model store: ``python -m models.save [NAME ...]``."""

from __future__ import annotations

import argparse
import sys

from models import registry, store


def main(arguments: list[str] | None = None) -> int:
    """Saves each named model, or all.

    Returns:
        The exit status: 0, or 1 with one line for each model whose weights are not right.
    """
    parser = argparse.ArgumentParser(prog="python -m models.save", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(registry.specs())}; all when none is given"
    )
    names = parser.parse_args(arguments).names or list(registry.specs())
    failed = False
    for name in names:
        if name not in registry.specs():
            parser.error(f"no model is called {name!r}")
        try:
            print(store.save(registry.specs()[name], registry.weights(name)))
        except store.WeightsError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
