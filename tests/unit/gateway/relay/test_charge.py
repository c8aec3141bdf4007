"""Tests of what a generation costs, by what the provider has said of it until its end.

Invariant under test: the provider's last word counts, else what it has billed by then, else what came; a text that was
given up while it sounded was ordered as a whole. It must not know streams.
"""

import pytest

from gateway.accounting import Settlement
from gateway.model import Billed, Finished, Mode, SpeechInput, SpeechRequest, Status, TriedAgain
from gateway.relay.charge import Charge
from tests.support.relay import song

SPEECH = SpeechRequest("cosyvoice-v3-flash", Mode.STREAM, SpeechInput("你好 you", "longxiaochun"))
CHARACTERS = 8


def test_the_last_word_counts() -> None:
    """Whatever was said before it, and however it ended then."""
    charge = Charge(song())
    charge.saw(Billed(100.0, 50))
    charge.saw(Finished(7.0, billed_characters=9))
    assert charge.settlement(Status.COMPLETED, 8.0) == Settlement(Status.COMPLETED, 8.0, 7.0, 9)
    assert charge.settlement(Status.CANCELLED, 3.0) == Settlement(Status.CANCELLED, 7.0, 7.0, 9)
    assert charge.settlement(Status.FAILED, 3.0) == Settlement(Status.FAILED, 3.0, 7.0, 9)
    charge.saw(Finished(None))
    assert charge.settlement(Status.CANCELLED, 3.0) == Settlement(Status.CANCELLED, 3.0)


def test_a_file_is_paid_before_it_comes() -> None:
    """All of it, until another try is begun."""
    charge = Charge(song())
    paid = [charge.paid]
    charge.saw(Billed(100.0))
    paid.append(charge.paid)
    assert charge.settlement(Status.CANCELLED, 3.0) == Settlement(Status.CANCELLED, 100.0, 100.0)
    assert charge.settlement(Status.CANCELLED, 101.0) == Settlement(Status.CANCELLED, 101.0, 100.0)
    assert charge.settlement(Status.FAILED, 3.0) == Settlement(Status.FAILED, 3.0, 100.0)
    charge.saw(TriedAgain(2))
    assert [*paid, charge.paid] == [False, True, False]
    assert charge.settlement(Status.CANCELLED, 0.0) == Settlement(Status.CANCELLED, 0.0)


@pytest.mark.parametrize(
    ("status", "received", "told", "characters"),
    [
        (Status.CANCELLED, 2.0, None, CHARACTERS),
        (Status.CANCELLED, 2.0, Billed(characters=5), 5),
        (Status.CANCELLED, 0.0, None, None),
        (Status.FAILED, 2.0, None, None),
        (Status.FAILED, 2.0, Billed(characters=5), 5),
    ],
)
def test_speech_that_broke_off(status: Status, received: float, told: Billed | None, characters: int | None) -> None:
    """What is said of it counts; what was given up before its first sound, or failed, costs nothing that was not."""
    charge = Charge(SPEECH)
    if told is not None:
        charge.saw(told)
    assert charge.settlement(status, received) == Settlement(status, received, None, characters)
    assert Charge(song()).settlement(status, received).characters is None
