"""Tests of the labels: how many values each may take, and that the lists here are the code's own.

Invariant under test: what the gateway says as a label is in the list of that label, so that it is there from the start.
It must not know any metric.
"""

from gateway.errors import HANDLING
from gateway.model import Status
from metrics import labels
from metrics.labels import Label
from transcode.formats import FORMATS


def test_a_label_has_so_many_values() -> None:
    """Those that are listed and some to spare; tenants as many as may be named."""
    assert Label("a", ("x", "y")).most(100) == 4
    assert Label("a", ("x", "y"), spare=0).most(100) == 2
    assert labels.TENANT.most(7) == 7
    assert labels.MODEL.most(7) == 32


def test_close_codes_are_those_of_the_table() -> None:
    """Whatever we close with has a series of its own, from the start."""
    assert {str(handling.close) for handling in HANDLING.values()} <= set(labels.CLOSE_CODE.values)


def test_errors_of_the_provider_are_those_of_the_table() -> None:
    """Every code by which a generation can be failed by the provider."""
    upstream = {code for code in HANDLING if code.startswith("upstream_")}
    assert upstream | {"content_rejected"} == set(labels.UPSTREAM_CODE.values)


def test_codecs_and_outcomes_are_those_that_there_are() -> None:
    """All that can be heard, and all by which a stream can end."""
    assert {form.codec for form in FORMATS.values()} == set(labels.CODEC.values)
    assert {status.value for status in Status if status.final} == set(labels.OUTCOME.values)
