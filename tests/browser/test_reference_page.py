"""The browser example of the face service's own document, in a page of another origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.openapi import ADDRESS
from tests.support.http_site import ok
from tests.support.markdown import blocks
from tests.support.served import DATA, ROOT, Bundle
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.served]


def test_the_snippet_of_the_reference_in_a_page_of_another_origin(
    chromium: Browser, bundle: Bundle, site: LocalSite
) -> None:
    (block,) = blocks(ROOT / "docs" / "migration" / "face-gender.md", "js")
    assert ADDRESS in block.text
    url = site.add("/page", ok(b'<!doctype html><input id="input" type="file">', "Content-Type: text/html"))
    page = chromium.new_context().new_page()
    page.goto(url)
    page.locator("#input").set_input_files(DATA / "faces" / "female_1.jpg")
    with page.expect_console_message(timeout=30_000) as logged:
        page.evaluate(f"() => {{ {block.text.replace(ADDRESS, bundle.url)} }}")
    answer = logged.value.args[0].json_value()
    page.context.close()
    assert answer["success"] is True
    assert [item["class"] for item in answer["predictions"]["predictions"]] == ["female", "male"]
