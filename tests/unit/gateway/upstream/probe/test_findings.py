"""What a purchase is summed up as: outcome, cost, and nothing that must not be told.

Invariant under test: whatever befell the purchase there are findings, and neither key, prompt nor signature is in them.
It must not know how they are shown.
"""

import msgspec
import pytest

from gateway.errors import UpstreamError
from gateway.model import Finished
from gateway.upstream.keys import ProviderKey
from gateway.upstream.probe.findings import find
from gateway.upstream.probe.purchase import Purchase
from tests.unit.gateway.upstream.probe.conftest import PROMPT, Bought, mp3_song

BROKEN = UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")


def test_a_whole_song_is_summed_up(bought: Bought) -> None:
    """Where from, how it began, what it is, what was said and what it costs."""
    found = find(bought(file=b"".join(mp3_song().values())))
    assert (found.asked.host, found.asked.model, found.asked.format) == (
        "dashscope.aliyuncs.com",
        "fun-music-v1",
        "mp3",
    )
    assert found.asked.prompt_characters == len(PROMPT)
    assert (found.outcome, found.failure, found.request_id) == ("finished", None, "r1")
    assert (found.wire.first_byte, found.wire.first_event, found.wire.events) == (1.0, 1.0, {"result": 5})
    assert found.wire.line_ends == {"LF": 25}
    assert found.wire.types["usage.duration"] == ["integer"]
    assert found.delivery is not None
    assert len(found.delivery.timeline) == 4
    assert found.coding is not None
    assert (found.coding.codec, found.coding.bitrates) == ("mp3", {128000: 40})
    assert (found.said.billed_seconds, found.said.cost_cny) == (200.0, 0.4)
    assert found.result is not None
    assert (found.result.scheme, found.result.host) == ("http", "bucket.oss.aliyuncs.com")
    assert (found.result.seconds_to_fetch, found.result.bytes) == (0.5, 40 * 417)
    assert found.result.comparison is not None
    assert found.result.comparison.verdict == "identical"
    told = msgspec.json.encode(found).decode()
    assert not any(secret in told for secret in ("sk-not", PROMPT, "sesame", "Signature", "la la"))


def test_the_other_model_costs_more(bought: Bought) -> None:
    """And one without a price costs nobody knows what."""
    assert find(bought(model="fun-music-preview")).said.cost_cny == 1.0
    assert find(bought(model="cosyvoice-v3-flash")).said.cost_cny is None


def test_a_song_that_was_left_is_interrupted(bought: Bought) -> None:
    """With what came until then; a bill was not heard of."""
    found = find(bought(whole=False))
    assert (found.outcome, found.result, found.said.billed_seconds) == ("interrupted", None, None)
    assert found.delivery is not None


def test_leaving_while_the_file_is_fetched_leaves_a_whole_song(bought: Bought) -> None:
    """The song is finished, its file is unknown."""
    purchase = bought()
    purchase.interrupted = True
    found = find(purchase)
    assert found.outcome == "finished"
    assert found.result is not None
    assert (found.result.bytes, found.result.comparison, found.result.seconds_to_fetch) == (None, None, None)


def test_a_purchase_that_never_began_has_findings(bought: Bought) -> None:
    """Nothing came, and that is what is found."""
    whole = bought()
    found = find(Purchase(whole.config, ProviderKey("sk-x"), whole.song))
    assert (found.outcome, found.delivery, found.coding, found.answer) == ("interrupted", None, None, None)
    assert (found.wire.reads, found.wire.first_byte) == (0, None)


def test_a_song_that_breaks_off_has_no_code_of_theirs(bought: Bought) -> None:
    """Our own code and what the log would say; status 200 tells nothing."""
    error = UpstreamError(BROKEN.code, BROKEN.message)
    error.add_note("ClientPayloadError")
    failure = find(bought(whole=False, failure=error)).failure
    assert failure is not None
    assert (failure.code, failure.details) == ("upstream_interrupted", ["ClientPayloadError"])
    assert (failure.provider_code, failure.provider_status) == (None, None)


@pytest.mark.parametrize(("status", "told"), [(401, 401), (200, None)])
def test_the_providers_code_is_found_in_a_refusal(bought: Bought, status: int, told: int | None) -> None:
    """In the body of an answer that is no song, with its HTTP status unless that was 200."""
    purchase = bought({}, whole=False, failure=BROKEN, status=status)
    purchase.log.feed(1.0, b'{"code":"InvalidApiKey","message":"m"}')
    failure = find(purchase).failure
    assert failure is not None
    assert (failure.provider_code, failure.provider_status) == ("InvalidApiKey", told)


def test_the_providers_code_is_found_in_an_event(bought: Bought) -> None:
    """After sound, with the status in the event's comment."""
    purchase = bought(whole=False, failure=BROKEN)
    purchase.log.feed(5.0, b'event:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling"}\n\n')
    failure = find(purchase).failure
    assert failure is not None
    assert (failure.provider_code, failure.provider_status) == ("Throttling", 429)


@pytest.mark.parametrize("url", ["ftp://host/a", "not a url", "http://user:sesame@host/a", "http://ho st/a"])
def test_of_a_strange_url_nothing_is_told(bought: Bought, url: str) -> None:
    """Not even its host, where there may be a password before it."""
    purchase = bought()
    purchase.finished = Finished(None, url=url)
    result = find(purchase).result
    assert result is not None
    assert (result.scheme, result.host) == ("", "")
