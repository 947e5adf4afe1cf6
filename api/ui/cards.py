"""The model cards as pages."""

from __future__ import annotations

import html
from pathlib import Path

from markdown_it import MarkdownIt

from models import registry
from models.spec import ModelSpec

FRAME = (Path(__file__).parent / "page" / "card.html").read_text()


def card_address(spec: ModelSpec, tag: str) -> str | None:
    """Where the card of an entry of the model store is; weights of another profile than the bundled have none here."""
    return f"/ui/cards/{spec.name}" if tag.partition(":")[0] == spec.name else None


def card_page(name: str) -> str | None:
    """The card of a model in HTML, or None when there is no such model. Markup in a card stands as text."""
    if (spec := registry.specs().get(name)) is None:
        return None
    text = (registry.weights(name).parent / "CARD.md").read_text()
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(without_comments(text))
    body = body.replace('style="text-align:right"', 'class="number"')  # the page's policy allows no inline style
    return FRAME.replace("{title}", html.escape(spec.title)).replace("{body}", body)


def without_comments(text: str) -> str:
    """Markdown without the lines of comment that mark what is generated."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("<!--"))
