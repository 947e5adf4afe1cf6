"""What the bundled weights may be used for: ``python -m models.licences`` prints the README's table."""

from __future__ import annotations

from models import registry


def table() -> str:
    """A line for each kind of terms, with the models that have them."""
    models: dict[str, list[str]] = {}
    for name, spec in registry.specs().items():
        models.setdefault(spec.licence, []).append(f"[{spec.title}](models/{name}/CARD.md)")
    return "".join(f"| {', '.join(titles)} | {licence} |\n" for licence, titles in models.items())


if __name__ == "__main__":
    print(table(), end="")
