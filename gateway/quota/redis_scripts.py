"""The ledger's operations as Lua scripts, each with the rules it shares with the others in front of it.

Invariant: every rule is written once, in the files of `SHARED`; the columns of a row are those of `Entry`, in its
order, so that a row travels as a plain list. Texts are put together once, and each travels once to a server.
It must not know a connection or what is done with an answer.
"""

from dataclasses import fields
from importlib.resources import files

from gateway.quota.entry import Entry
from gateway.redis.script import Script

COLUMNS = tuple(field.name for field in fields(Entry))
# A column that is nothing but words is a str or a status; the others are whole numbers.
WHOLE = frozenset(field.name for field in fields(Entry) if field.type in (int, int | None))
SHARED = ("store", "entry", "policy", "book")
OPERATIONS = (
    "reserve",
    "ordered",
    "withdraw",
    "begin",
    "renew",
    "extend",
    "settle",
    "heard",
    "sweep",
    "remaining",
    "generation",
    "usage",
    "generations",
    "carry",
)


def _columns() -> str:
    names = ", ".join(f"'{name}'" for name in COLUMNS)
    numbers = ", ".join(f"{name} = true" for name in COLUMNS if name in WHOLE)
    return f"local COLUMNS = {{ {names} }}\nlocal WHOLE = {{ {numbers} }}\n"


def _text(name: str) -> str:
    return files("gateway.quota").joinpath("lua", f"{name}.lua").read_text("utf-8")


_RULES = "".join([_columns(), *(_text(name) for name in SHARED)])


def by_the_rules(text: str) -> Script:
    """A script that has the rules in front of it."""
    return Script(_RULES + text)


# Read once, before there is a loop that would wait for the disk.
SCRIPTS = {name: by_the_rules(_text(name)) for name in OPERATIONS}
