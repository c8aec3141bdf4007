r"""What a setting may be: types with their bounds and the words for them, and the marks that a key may carry.

Invariant: a description completes the sentence "must be ..." when a value is refused. Patterns end in \Z because $
lets a newline through, and seconds have an upper bound because infinity is greater than 0. Examples are what the
documented file shows for a key that has no default. It must not know which settings there are.
"""

from typing import Annotated

from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535, description="a port number from 0 to 65535")]
Seconds = Annotated[float, Meta(gt=0, le=1e9, description="a number of seconds greater than 0")]
SecondsOrNever = Annotated[float, Meta(ge=0, le=1e9, description="a number of seconds, or 0 for never")]
Money = Annotated[float, Meta(ge=0, le=1e6, description="a number, 0 or more")]
Count = Annotated[int, Meta(ge=0, description="a whole number, 0 or more")]
Weight = Annotated[float, Meta(gt=0, le=1000, description="a number greater than 0 and up to 1000")]
AtLeastOne = Annotated[int, Meta(ge=1, description="a whole number, 1 or more")]
HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?\Z", description="an http:// or https:// address without ? and # parts"
    ),
]
RedisUrl = Annotated[str, Meta(pattern=r"^rediss?://", description="a redis:// or rediss:// address")]
StoreUrl = Annotated[
    str, Meta(pattern=r"^(memory:\Z|sqlite:///|rediss?://)", description="memory:, sqlite:///FILE or redis://HOST")
]
Network = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Fa-f:.]+(/\d{1,3})?\Z",
        description="an address or a network, such as 10.0.0.0/8 or ::1",
        examples=["10.0.0.0/8"],
    ),
]
UrlPath = Annotated[
    str, Meta(pattern=r"^/[^\s?#]*\Z", description="a path that begins with / and has no ? and # parts")
]
Origin = Annotated[
    str,
    Meta(
        pattern=r"^\S*[^\s/]\Z",
        description="an origin such as https://play.example, without a / at its end",
        examples=["https://play.acme.example"],
    ),
]
WorkspaceId = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z", description="1 to 64 letters, digits, - and _")
]
TenantName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}\Z",
        description="1 to 64 small letters, digits, - and _, with a letter or digit first",
        examples=["acme"],
    ),
]
KeyHash = Annotated[
    str,
    Meta(
        pattern=r"^sha256:[0-9a-f]{64}\Z",
        description="sha256: and the 64 hex digits of a key's hash",
        # Zeros: whoever copies the example into a real file opens the door to nobody.
        examples=["sha256:" + 64 * "0"],
    ),
]
Abandon = Annotated[
    str, Meta(pattern=r"^(finish|cancel|\d+(\.\d+)?s)\Z", description="finish, cancel or a time such as 30s")
]

# A key whose value may hold a credential, or be mistaken for the place of one: it is never shown.
SECRET = Meta(extra={"secret": True})
# A key that SIGHUP takes up; all others hold until the next start.
LIVE = Meta(extra={"live": True})
