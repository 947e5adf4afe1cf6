"""The media type that a client wants: ``Accept`` is read as far as it matters here (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from typing import NamedTuple


class Wish(NamedTuple):
    """How much a client wants a media type; the larger one is wanted more.

    Attributes:
        quality: That of the most specific range that matches, 0 to 1; 0 when none does.
        specificity: 2 where the type itself is named, 1 for its main type, 0 for any.
        precedence: The place of that range, counted from the end: what is named first is wanted first.
    """

    quality: float = 0.0
    specificity: int = 0
    precedence: int = 0


MAX_ACCEPT = 4096  # characters of the header that are looked at; browsers send some 200


def wish(accept: str, media_type: str) -> Wish:
    """How much a client wants a media type.

    Args:
        accept: Value of the header.
        media_type: Such as ``text/html``.
    """
    specificities = {media_type: 2, f"{media_type.split('/')[0]}/*": 1, "*/*": 0}
    found: dict[int, Wish] = {}
    for place, part in enumerate(accept[:MAX_ACCEPT].split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in specificities:
            specificity = specificities[name]
            found[specificity] = Wish(_q(parameters), specificity, -place)
    best = found[max(found)] if found else Wish()
    return best if best.quality else Wish()


def preferred(accept: str, *offers: str) -> str:
    """The offer that a client wants most.

    Equal qualities are decided as the common content negotiators of Node do: a type named by itself goes before one
    that a wildcard admits, and then the one that is named first.

    Args:
        accept: Value of the header.
        *offers: Media types; the first one is answered where nothing speaks for another.
    """
    return max(offers, key=lambda offer: wish(accept, offer))


def prefers_html(accept: str) -> bool:
    """Whether a client would rather have a page than JSON.

    Of equal qualities, a page that is named goes before JSON that a wildcard admits: old browsers end their header with
    a bare ``*/*``. Where both are named alike, it is JSON.
    """
    page, data = wish(accept, "text/html"), wish(accept, "application/json")
    return (page.quality, page.specificity) > (data.quality, data.specificity)


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                return 0.0
    return 1.0
