"""The publisher, with a server of the test's own.

Invariant under test: each message is posted once, in order, in the form that is sent on in binary frames.
It must not know what a server does with messages.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.bench.peers.launch import free_port
from gateway.bench.peers.message import Messages
from gateway.bench.peers.publisher import main


@pytest.fixture
def server() -> Iterator[tuple[int, list[tuple[str, str | None, bytes]]]]:
    """Its port, and what it was given. It takes three messages, and refuses the fourth."""
    taken: list[tuple[str, str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, self.headers["Content-Type"], body))
            self.send_response(202 if len(taken) < 4 else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running.server_address[1], taken
        running.shutdown()
        thread.join()


def test_messages_are_posted(
    server: tuple[int, list[tuple[str, str | None, bytes]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one taken makes it ready; a refusal ends it."""
    port, taken = server
    with pytest.raises(SystemExit, match="refused a message with 503"):
        main([str(port), "/publish", "300", "0.001"])
    messages = Messages(300, 0.001)
    assert taken == [("/publish", "application/octet-stream", messages.message(seq)) for seq in range(4)]
    assert capsys.readouterr().out == "ready\n"


def test_a_server_that_has_ended_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word."""
    main([str(free_port()), "/publish", "300", "0.001"])
    assert capsys.readouterr() == ("", "")
