"""Tests of the errors: one table, which the source and the public contract both agree with.

Invariant under test: every code that is raised has a row, every row is used, and its status, close code and retry flag
fit each other. It must not know when an error is raised.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.errors import (
    HANDLING,
    AccessError,
    LimitError,
    RequestError,
    ServiceError,
    UpstreamError,
    WavegateError,
)

SOURCE = Path(gateway.__file__).parent
TREE = {"WavegateError", "RequestError", "AccessError", "LimitError", "UpstreamError", "ServiceError"}
STATUSES = {400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 416, 422, 429, 431, 500, 501, 502, 503, 504}

# What a close code means to a client that gets it, by the public contract.
DONE = {1000}
CLIENTS_FAULT = {1003, 1008, 1009}
TERMINAL = {4001, 4003, 4004, 4005, 4010}
BACK_OFF = {4100, 4101, 4102, 4103, 4104}
COME_BACK = {1011, 1012, 1013}
BUDGET = {4008}
RECONNECT_NOW = {4200, 4201, 4203}


@pytest.fixture(scope="module")
def modules() -> dict[Path, ast.Module]:
    """The whole source of the gateway."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}


def raised(modules: dict[Path, ast.Module]) -> Iterator[tuple[str, str]]:
    """Every code that the source names in the making of an error, and where."""
    for path, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in TREE and node.args:
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value, f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_every_code_that_is_raised_has_a_row(modules: dict[Path, ast.Module]) -> None:
    """A code without a row would be a KeyError at the moment of the refusal."""
    codes = list(raised(modules))
    assert len(codes) > 20
    assert [(code, where) for code, where in codes if code not in HANDLING] == []


def test_every_row_is_used(modules: dict[Path, ast.Module]) -> None:
    """A code that nothing outside the table names is a promise that nobody keeps."""
    named = {
        node.value
        for path, tree in modules.items()
        if path.name != "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(HANDLING) - named == set()


@pytest.mark.parametrize("code", HANDLING)
def test_a_row_fits_the_contract(code: str) -> None:
    """Codes are plain words, statuses are ones a client is told of, close codes are ones the contract lists."""
    handling = HANDLING[code]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert handling.status in STATUSES
    listed = DONE | CLIENTS_FAULT | TERMINAL | BACK_OFF | COME_BACK | BUDGET | RECONNECT_NOW
    assert handling.close in listed


@pytest.mark.parametrize("code", HANDLING)
def test_the_retry_flag_agrees_with_the_close_code(code: str) -> None:
    """What ends for good is not to be tried again; what says to back off or to come back is.

    Three rows differ: a request that the provider refused is as wrong the next time, a budget that is used up today is
    there again tomorrow, and a body that was too slow, which is no session's, may be faster.
    """
    handling = HANDLING[code]
    if code == "upstream_refused":
        assert (handling.close, handling.retryable) == (4103, False)
    elif code == "request_timeout":
        assert (handling.status, handling.retryable) == (408, True)
    elif handling.close in BACK_OFF | COME_BACK | BUDGET:
        assert handling.retryable
    else:
        assert not handling.retryable


@pytest.mark.parametrize("code", HANDLING)
def test_the_status_agrees_with_the_close_code(code: str) -> None:
    """Who may not is told so at both doors, and so is who must wait."""
    handling = HANDLING[code]
    assert (handling.status == 403) == (handling.close == 4003)
    assert (handling.status == 429) == (handling.close in {4008, 4100, 4101, 4102})
    assert (handling.status == 401) == (handling.close in {4001, 4005, 4104, 4201})
    assert (handling.status == 413) == (handling.close == 1009)
    assert (handling.status >= 500) == (handling.close in COME_BACK | {4103} or code == "not_supported")


def test_the_body_is_the_documented_one() -> None:
    """Code, sentence, retry flag, milliseconds to wait, and the field."""
    error = LimitError("rate_exceeded", "Slow down.", param="input.lyrics", retry_after=1.2)
    assert error.body() == {
        "code": "rate_exceeded",
        "message": "Slow down.",
        "retryable": True,
        "retry_after_ms": 1200,
        "param": "input.lyrics",
    }


def test_the_body_of_a_plain_refusal() -> None:
    """What is not known is null, not missing."""
    body = RequestError("not_found", "There is nothing.").body()
    assert (body["retry_after_ms"], body["param"], body["retryable"]) == (None, None, False)


@pytest.mark.parametrize(
    ("retry_after", "reason"),
    [(None, "going_away"), (0.0, "going_away;retry_after_ms=0"), (1.5, "going_away;retry_after_ms=1500")],
)
def test_the_close_reason(retry_after: float | None, reason: str) -> None:
    """It is the code, and the time to wait where there is one."""
    assert ServiceError("going_away", "We stop.", retry_after=retry_after).close_reason() == reason


@pytest.mark.parametrize("code", HANDLING)
def test_every_close_reason_fits(code: str) -> None:
    """A close frame holds 123 bytes of reason, also with a month to wait."""
    assert len(WavegateError(code, "x", retry_after=31 * 86400.0).close_reason().encode()) <= 123


def test_the_errors_are_one_tree() -> None:
    """Whoever catches WavegateError has them all; each reads as its sentence."""
    for kind in (RequestError, AccessError, LimitError, ServiceError):
        error = kind("internal", "A sentence.")
        assert isinstance(error, WavegateError)
        assert (str(error), error.handling) == ("A sentence.", HANDLING["internal"])


def test_an_upstream_error_knows_the_providers_name_for_it() -> None:
    """The provider's request id is kept for the log, and is not in what clients see."""
    error = UpstreamError("upstream_failed", "It failed.", param="input", retry_after=2.0, request_id="req-1")
    assert (error.request_id, error.param, error.retry_after) == ("req-1", "input", 2.0)
    assert "req-1" not in str(error.body())
    assert UpstreamError("upstream_failed", "It failed.").request_id is None


def test_a_code_without_a_row_is_a_mistake_of_ours() -> None:
    """It fails where it is made, not when a client is answered."""
    with pytest.raises(KeyError):
        WavegateError("no_such_code", "x")


def test_the_same_again_has_no_frames() -> None:
    """Everything that clients and logs are told is there, and nothing that it came through."""
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise UpstreamError("upstream_busy", "It is full.", retry_after=2.0, request_id="req-1")  # noqa: B904 - so it has one
    except UpstreamError as error:
        first, again = error, error.again()
    assert first.__traceback__ is not None
    assert (again.__traceback__, again.__context__, again.__cause__) == (None, None, None)
    assert (type(again), str(again), vars(again)) == (UpstreamError, "It is full.", vars(first))
    assert again is not first
