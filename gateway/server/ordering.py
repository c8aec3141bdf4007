"""From what a client asked for to a request that may be bought: defaults filled in, the provider's limits checked.

Invariant: nothing has been spent when this says no. REST and WebSocket come through the same function.
It must not know sockets, tenants or the ledger.
"""

from collections.abc import Sequence
from dataclasses import MISSING
from dataclasses import fields as fields_of
from typing import Any

from msgspec.structs import fields

from gateway.errors import RequestError
from gateway.log import hide
from gateway.model import GenerationRequest, Mode, Position, Principal
from gateway.protocol.families import family_of
from gateway.protocol.family import ModelFamily
from gateway.protocol.messages import CreateBody, FormatChoice, FormatSpec, InputSpec, StreamAttach, StreamCreate
from gateway.protocol.messages import Since as SinceSpec
from gateway.relay.attention import grace_of
from gateway.relay.journal import words_of
from gateway.relay.order import Order
from gateway.relay.since import FromStart, SecondsAgo, Since
from gateway.relay.wishes import possible

# A listener that joins live gets this much of the past, so that a browser starts at once.
LIVE_BURST_MS = 500
LONGEST_BURST_MS = 3_600_000


def wishes(choice: FormatChoice | None) -> list[FormatSpec]:
    """A client's `format` as a list, best first; empty when it left the choice to us."""
    if choice is None:
        return []
    several = choice if isinstance(choice, list) else [choice]
    return [FormatSpec(wish) if isinstance(wish, str) else wish for wish in several]


def since_of(message: StreamCreate | StreamAttach) -> Since:
    """The message's `since` as the relay understands it. Raises RequestError."""
    since = message.since
    if since == "start":
        return FromStart()
    if since == "live":
        burst_ms = LIVE_BURST_MS if message.burst_ms is None else message.burst_ms
        return SecondsAgo(min(max(burst_ms, 0), LONGEST_BURST_MS) / 1000)
    if isinstance(since, SinceSpec):
        if since.seconds_ago is not None and since.seconds_ago >= 0:
            return SecondsAgo(since.seconds_ago)
        if since.epoch is not None and since.seq is not None and since.seq >= 0:
            return Position(since.epoch, since.seq)
    sentence = 'since is "start", "live", {"seconds_ago": n} or {"epoch": e, "seq": n}, with n of 0 or more.'
    raise RequestError("invalid_request", sentence, param="since")


def order_of(body: CreateBody | StreamCreate, principal: Principal, abandon: str, default_model: str) -> Order:
    """The order of somebody whose tenant's policy for streams that everybody has left is `abandon`.

    Raises RequestError naming the field that is wrong.
    """
    request, warnings = request_of(body, default_model)
    hide(*words_of(request))
    grace = grace_of(abandon if body.abandon is None else body.abandon)
    return Order(principal, request, body.share, grace, warnings=warnings)


def request_of(body: CreateBody | StreamCreate, default_model: str) -> tuple[GenerationRequest, list[str]]:
    """What to buy and the warnings its buyer should see. Raises RequestError naming the field that is wrong."""
    if body.mode not in list(Mode):
        raise RequestError("invalid_input", "The mode is `stream` or `file`.", param="mode")
    model = body.model or default_model
    family = family_of(model)
    wished = wishes(body.format) if isinstance(body, StreamCreate) else []
    given = _given(body.input, model, family)
    given.setdefault("format", _provider_format(wished, family.formats))
    request: GenerationRequest = family.request(model, Mode(body.mode), family.input(**given))
    warnings = family.check(request)
    if wished:
        possible(wished)
    return request, warnings


def _given(asked: InputSpec, model: str, family: ModelFamily[Any]) -> dict[str, Any]:
    """The fields that were given. One that means nothing to the model is refused before something is bought."""
    given = {field.name: value for field in fields(asked) if (value := getattr(asked, field.name)) != field.default}
    for name in given:
        if name not in family.fields:
            takes = ", ".join(sorted(family.fields))
            raise RequestError("invalid_input", f"{model} has no {name}; it takes {takes}.", param=f"input.{name}")
    for field in fields_of(family.input):
        if field.default is MISSING and field.name not in given:
            raise RequestError("invalid_input", f"{model} needs input.{field.name}.", param=f"input.{field.name}")
    return given


def _provider_format(wished: Sequence[FormatSpec], formats: Sequence[str]) -> str:
    """What to order when the client named only what it wants to hear: that, if the provider makes it."""
    return next((wish.codec for wish in wished if wish.codec in formats), formats[0])
