"""The cards of the models as pages, and their addresses."""

from __future__ import annotations

import functools
import html
from pathlib import Path

from markdown_it import MarkdownIt

from models import registry
from models.spec import ModelSpec

CARDS = 64  # pages that are kept in memory, some 40 KiB each
FRAME = (Path(__file__).parent / "page" / "card.html").read_text()


def card_address(spec: ModelSpec, tag: str) -> str | None:
    """Address of the card of a store entry; None for weights of another profile, which have no card in the bundle."""
    is_bundled = tag.partition(":")[0] == spec.name
    return f"/ui/cards/{spec.name}" if is_bundled and card_file(spec.name).exists() else None


def card_file(name: str) -> Path:
    """Where the card of a bundled model is, if it has one."""
    return registry.weights(name).parent / "CARD.md"


def card_page(name: str) -> str | None:
    """The card of a model in HTML, or None when there is no such model or card. Markup in a card stands as text."""
    if (spec := registry.specs().get(name)) is None or not (file := card_file(name)).exists():
        return None
    return _page(spec.title, file, file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=CARDS)
def _page(title: str, file: Path, _changed: int) -> str:
    """A card in HTML; it takes 10 to 40 ms, once."""
    text = file.read_text()
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(without_comments(text))
    body = body.replace('style="text-align:right"', 'class="number"')  # the page's policy allows no inline style
    return FRAME.replace("{title}", html.escape(title)).replace("{body}", body)


def without_comments(text: str) -> str:
    """Markdown without the lines of comment that mark what is generated."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("<!--"))
