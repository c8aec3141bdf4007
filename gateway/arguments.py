"""What may be typed behind `wavegate`: every command with its options, and what `--help` says of them.

Invariant: pure; an option that is wrong by itself is refused here, what does not go together by the command.
It must not know what a command does.
"""

import argparse
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from gateway import __version__
from gateway.bench.benches import BENCHES
from gateway.config.secret import redact

Command = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """A key that was pasted where none belongs is not repeated: what a service is started with ends up in its log."""

    def error(self, message: str) -> NoReturn:
        super().error(redact(message))


def parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The whole command line; what `commands` has under a command's name becomes `run` of what was typed."""
    arguments = _Parser(prog="wavegate", description="Real-time streaming audio relay gateway.")
    arguments.add_argument("--version", action="version", version=f"wavegate {__version__}")
    rooms = arguments.add_subparsers(dest="command", metavar="COMMAND", required=True)

    serve = rooms.add_parser("serve", help="run the gateway")
    serve.add_argument("--config", type=Path, metavar="F", help="the YAML file")
    serve.add_argument("--host", help="address of the public port")
    serve.add_argument("--port", type=int, metavar="N", help="public port; 0 takes a free one")
    serve.add_argument("--internal-port", type=int, metavar="N", help="port of metrics and health")
    serve.add_argument("--workers", type=int, metavar="N", help="processes on the public port")
    serve.add_argument("--demo", action="store_true", help="a built-in simulator sings; no key, loopback only")
    serve.set_defaults(run=commands["serve"])

    simulate = rooms.add_parser("simulate", help="run the DashScope simulator as a server of its own")
    simulate.add_argument("--host", default="127.0.0.1")
    simulate.add_argument("--port", type=int, default=8090, metavar="N", help="port; 0 takes a free one (8090)")
    simulate.add_argument("--speed", type=float, default=1.0, metavar="X", help="times real time; 0 = at once (1)")
    simulate.add_argument("--replay", type=Path, metavar="F", help="answer every call with this recording")
    simulate.add_argument("--scenarios", action="store_true", help="print what a prompt may ask for, and exit")
    simulate.set_defaults(run=commands["simulate"])

    probe = rooms.add_parser("probe", help="buy one song with a real key and report how the provider behaves")
    probe.add_argument("--config", type=Path, metavar="F", help="the YAML file")
    probe.add_argument("--prompt", metavar="P", help="what to sing about; the report does not repeat it")
    probe.add_argument("--format", choices=("mp3", "wav"), default="mp3", help="of the song (mp3)")
    probe.add_argument("--yes", action="store_true", help="buy without asking")
    probe.add_argument("--save", type=Path, metavar="DIR", help="write report.json and the audio there")
    probe.set_defaults(run=commands["probe"])

    listen = rooms.add_parser("listen", help="create or join a stream, show it and write its audio")
    listen.add_argument("--server", default="http://127.0.0.1:8080", metavar="URL")
    who = listen.add_mutually_exclusive_group()
    who.add_argument(
        "--key", metavar="K", help="tenant key; WAVEGATE_KEY in the environment keeps it out of lists of processes"
    )
    who.add_argument("--ticket", metavar="T", help="a ticket, in place of a key")
    what = listen.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt", metavar="P", help="what to sing about")
    what.add_argument("--lyrics-file", type=Path, metavar="F", help="the words to sing")
    what.add_argument("--text", metavar="T", help="what to say, in place of a song")
    what.add_argument("--stream", metavar="ID", help="a stream to join")
    listen.add_argument("--model", metavar="M", help="of the song (the gateway's own) or of the speech")
    listen.add_argument("--voice", metavar="V", help="who says the text")
    listen.add_argument(
        "--idempotency-key", metavar="K", help="names the order: made again under it, it is bought once"
    )
    listen.add_argument(
        "--since", type=_since, metavar="S", help="where to join: start, live or seconds before that (start)"
    )
    listen.add_argument("--format", default="mp3", help="mp3, wav, pcm, ogg, webm, aac, mp4 or flac (mp3)")
    listen.add_argument("-o", dest="output", metavar="FILE", help="where to write; - is standard output")
    listen.set_defaults(run=commands["listen"])

    ticket = rooms.add_parser("ticket", help="mint a ticket, for a guest who must not hold the key")
    ticket.add_argument("--server", default="http://127.0.0.1:8080", metavar="URL")
    ticket.add_argument(
        "--key", metavar="K", help="tenant key; WAVEGATE_KEY in the environment keeps it out of lists of processes"
    )
    ticket.add_argument("--stream", metavar="ID", help="the only stream it is good for")
    ticket.add_argument("--ttl", type=int, default=60, metavar="S", help="seconds it is good for (60)")
    ticket.add_argument("--uses", type=int, default=1, metavar="N", help="how often; 0 is until it expires (1)")
    ticket.set_defaults(run=commands["ticket"])

    keys = rooms.add_parser("keys", help="make tenant keys").add_subparsers(metavar="ACTION", required=True)
    new = keys.add_parser("new", help="print a new key, once, and its hash")
    new.add_argument("tenant", metavar="TENANT")
    new.set_defaults(run=commands["keys new"])

    check = rooms.add_parser("check-config", help="validate a configuration file")
    check.add_argument("file", type=Path, metavar="F")
    check.set_defaults(run=commands["check-config"])

    bench = rooms.add_parser("bench", help="measure what the gateway costs on this machine")
    benches = bench.add_subparsers(dest="bench", metavar="NAME", required=True)
    for name, known in BENCHES.items():
        one = benches.add_parser(name, help=known.help)
        seconds, rounds = known.seconds, known.rounds
        one.add_argument("--seconds", type=float, default=seconds, metavar="S", help=f"{known.told} ({seconds:g})")
        one.add_argument(
            "--rounds", type=int, default=rounds, metavar="N", help=f"of what is measured in turns ({rounds})"
        )
        if known.listeners is not None:
            one.add_argument("--listeners", type=int, metavar="N", help=f"at once ({known.listeners})")
        parts = ", ".join(f"{part}: {told}" for part, told in known.parts.items())
        one.add_argument("--only", action="append", choices=known.parts, metavar="PART", help=f"once or more; {parts}")
        one.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
        one.add_argument("--strict", action="store_true", help="exit code 1 when a target is missed")
        one.set_defaults(run=commands["bench"])

    rooms.add_parser("default-config", help="print the documented default YAML").set_defaults(
        run=commands["default-config"]
    )
    return arguments


def _since(text: str) -> str | float:
    """Of `--since`."""
    if text in ("start", "live"):
        return text
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError("it is start, live, or so many seconds before that")
