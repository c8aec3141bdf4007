"""The log: what is said (`event`), what that is about (`bind`), and how it is written (`configure`)."""

from gateway.log.events import Words, event
from gateway.log.ids import Bound, Origin, adopt, bind, binding, bound, hide
from gateway.log.setup import conceal, configure, set_level, watch

__all__ = [
    "Bound",
    "Origin",
    "Words",
    "adopt",
    "bind",
    "binding",
    "bound",
    "conceal",
    "configure",
    "event",
    "hide",
    "set_level",
    "watch",
]
