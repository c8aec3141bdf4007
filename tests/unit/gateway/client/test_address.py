"""The address of the door, from what users write.

Invariant under test: an address leads to exactly one door or to a sentence that shows a right one; what is secret in it
is never repeated. Nothing is connected here.
"""

import pytest

from gateway.client.address import door, is_loopback
from gateway.client.errors import ClientError


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/ws"),
        ("https://music.example", "wss://music.example/v1/ws"),
        (" https://Music.Example/ ", "wss://music.example/v1/ws"),
        ("ws://h:1/v1/ws", "ws://h:1/v1/ws"),
        ("wss://h/behind/a/proxy/", "wss://h/behind/a/proxy/v1/ws"),
        ("http://[::1]:8080", "ws://[::1]:8080/v1/ws"),
    ],
)
def test_the_door_follows_from_the_server_address(server: str, url: str) -> None:
    """Every way to write a gateway's address leads to its door."""
    assert door(server) == url


@pytest.mark.parametrize(
    "server",
    [
        "",
        "localhost:8080",
        "music.example",
        "ftp://x",
        "http://",
        "http://h:port",
        "http://h:99999",
        "http://[::1",
        "http://h/?a=b",
        "http://h/#a",
        "http://a b/",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(server: str) -> None:
    """A wrong address is a sentence that shows a right one and the wrong one."""
    with pytest.raises(ClientError) as caught:
        door(server)
    assert caught.value.code == "invalid_server"
    assert "http://127.0.0.1:8080" in caught.value.message
    assert repr(server) in caught.value.message


def test_a_password_in_an_address_is_not_repeated() -> None:
    """The sentence about an address with credentials does not carry them."""
    with pytest.raises(ClientError) as caught:
        door("http://me:hunter2@host")
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("ws://127.0.0.9:1/v1/ws", True), ("ws://localhost/", True), ("ws://[::1]/", True), ("wss://x.example/", False)],
)
def test_loopback_is_known(url: str, loopback: bool) -> None:
    """This machine is told from others, by number and by name."""
    assert is_loopback(url) is loopback
