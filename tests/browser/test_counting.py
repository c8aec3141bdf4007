"""The page's counter against the vectors that pin the gateway's own.

Invariant under test: what the form calls fitting is what the gateway would take, as far as counting goes.
It must not know how either of them counts.
"""

import json
from pathlib import Path
from typing import Any

from tests.browser.conftest import Visit

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/counting.json").read_text(encoding="utf-8"))


async def test_the_page_counts_as_the_gateway_does(gateway: Any, visit: Visit) -> None:
    """Every vector has the same language and the same count in the browser."""
    page = await visit(gateway.url)
    texts = [vector["text"] for vector in VECTORS]
    counted = await page.evaluate("async (texts) => texts.map((await import('/counting.js')).count)", texts)
    assert [(found["language"], found["count"]) for found in counted] == [
        (vector["language"], vector["count"]) for vector in VECTORS
    ]


async def test_every_example_fits(gateway: Any, visit: Visit) -> None:
    """An example is something to press the button with: none is too short or too long."""
    page = await visit(gateway.url)
    for kind in ("Prompt", "Lyrics", "Speech"):
        await page.click(f"#kind >> text={kind}")
        chips = page.locator("#chips button")
        assert await chips.count() >= 2
        for index in range(await chips.count()):
            await chips.nth(index).click()
            assert await page.inner_text("#fit") == "fits"
