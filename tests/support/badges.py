"""The badges of the README, from what CI runs: ``python -m tests.support.badges`` writes ``docs/badges.svg``.

They come from no other host, and say what is checked, not whether it passed: CI ends with the first step that fails.
"""

from __future__ import annotations

import re

from tests.support.served import ROOT

PICTURE = ROOT / "docs" / "badges.svg"
CHECKS = {
    "lint": "style and layers",
    "types": "mypy strict",
    "test": "tests",
    "test-containers": "containers",
    "figures": "accuracy of the weights",
    "notebooks": "notebooks",
    "bench-quick": "benchmark",
}
HEIGHT, GAP, PADDING, LETTER = 20, 6, 7, 6.2  # pixels; the width of a letter of 11 pixels is at most that
LEFT, RIGHT = "#3b4451", "#1a6e3c"


def steps() -> list[str]:
    """What CI makes, in its order."""
    return re.findall(r'^step "[^"]+" \d+ make ([\w-]+)', (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


def picture() -> str:
    """All badges as one SVG."""
    left = 0.0
    parts = []
    for name in steps():
        first, second = f"make {name}", CHECKS[name]
        middle, width = (2 * PADDING + LETTER * len(text) for text in (first, second))
        parts.append(
            f'<g transform="translate({left:.0f})"><path d="M0 0h{middle:.0f}v{HEIGHT}H0z" fill="{LEFT}"/>'
            f'<path d="M{middle:.0f} 0h{width:.0f}v{HEIGHT}h-{width:.0f}z" fill="{RIGHT}"/>'
            f'<text x="{middle / 2:.0f}" y="14">{first}</text>'
            f'<text x="{middle + width / 2:.0f}" y="14">{second}</text></g>'
        )
        left += middle + width + GAP
    size = f'width="{left - GAP:.0f}" height="{HEIGHT}"'
    style = 'fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    label = "Checked by CI: " + ", ".join(CHECKS[name] for name in steps())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}"><title>{label}</title>'
        f"<g {style}>{''.join(parts)}</g></svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
