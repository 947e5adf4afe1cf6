"""The ``Accept`` header."""

from __future__ import annotations

import pytest

from api.accept import preferred, prefers_html, wish


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html", 1.0), ("text/html;q=0.3", 0.3), ("text/*", 1.0), ("*/*;q=0.1", 0.1), ("application/json", 0.0),
        ("text/html;q=0, */*", 0.0), ("text/*;q=0.2, text/html;level=1;q=0.7", 0.7), ("", 0.0), ("TEXT/HTML", 1.0),
        ("text/html;q=high", 0.0), ("text/html;q=7", 1.0), (",,;", 0.0), (" text/html ; q=0.5 ", 0.5),
    ],
)  # fmt: skip
def test_quality(accept: str, expected: float) -> None:
    assert wish(accept, "text/html").quality == expected


@pytest.mark.parametrize(
    "accept",
    [
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html",
        "text/html, application/json;q=0.9",
        "text/html, application/xhtml+xml, */*",  # without qualities, as old browsers send it
        "*/*, text/html",
        "text/*, */*",
    ],
)
def test_browsers_prefer_html(accept: str) -> None:
    assert prefers_html(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "", "*/*", "application/json", "text/plain", "text/html, application/json", "application/json, text/html",
        "text/html;q=0.5, */*", "text/html;q=0.5, application/json;q=0.5", "text/*, application/json",
        "text/html;q=0, */*;q=0", "image/gif, image/jpeg, */*",
    ],
)  # fmt: skip
def test_other_clients_do_not(accept: str) -> None:
    assert not prefers_html(accept)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json, text/plain, */*", "application/json"),  # what axios sends
        ("text/plain, application/json", "text/plain"),
        ("application/json, */*", "application/json"),
        ("application/json;q=0.5, text/plain", "text/plain"),
        ("text/*, application/json", "application/json"),
        ("*/*", "text/plain"),
        ("application/json;q=0", "text/plain"),
        ("text/html", "text/plain"),
        ("", "text/plain"),
    ],
)
def test_preferred(accept: str, expected: str) -> None:
    assert preferred(accept, "text/plain", "application/json") == expected
