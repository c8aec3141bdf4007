"""The command line: `wavegate COMMAND`.

Invariant: exit code 0 done, 1 failed while running, 2 wrong usage or configuration; a user sees sentences, and a
traceback only of a fault of ours, without a secret. Commands parse, call one thing, and print; what they do lives
elsewhere.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway import log
from gateway.arguments import Command, parser
from gateway.bench.benches import BENCHES, LEAST_SECONDS, MOST_LISTENERS, BenchError, Order
from gateway.config.document import default_yaml
from gateway.config.kinds import TenantName
from gateway.config.load import ConfigError, load
from gateway.config.schema import Config
from gateway.config.secret import Secret, SecretFileError, key_hash, new_tenant_key, redact
from gateway.errors import StartError
from gateway.server.secrecy import keep_memory

DONE, FAILED, USAGE = 0, 1, 2
KEY_VARIABLE = "DASHSCOPE_API_KEY"
SECRET_VARIABLES = (KEY_VARIABLE, "WAVEGATE_KEY")

NO_KEY = f"""\
There is no provider key, so there is nothing to serve. Two ways out:
  with a key:     {KEY_VARIABLE}=sk-... wavegate serve      (or upstream.api_key_file in the configuration)
  without a key:  wavegate serve --demo                     (a built-in simulator sings instead)"""

NO_KEY_TO_PROBE = f"""\
There is no provider key, so there is nothing to buy a song with. Two ways out:
  in the environment:  {KEY_VARIABLE}=sk-... wavegate probe
  in a file:           upstream.api_key_file in the configuration, and wavegate probe --config F"""


class UsageError(Exception):
    """Wrong usage or configuration: the message is for the user, the exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parser(_COMMANDS).parse_args(arguments)
    try:
        code: int = options.run(options)
        # Here, where a reader that has left is no failure; Python flushes too late for that.
        sys.stdout.flush()
    except (ConfigError, SecretFileError, StartError, UsageError) as mistake:
        print(f"wavegate: {mistake}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # Whoever read our output has left; a second error while Python closes it would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception:
        # A fault of ours is told with where it was; what it quotes may be a secret of the configuration.
        known = [Secret(value) for name in SECRET_VARIABLES if (value := os.environ.get(name))]
        print(redact(traceback.format_exc(), known), end="", file=sys.stderr)
        return FAILED
    return code


def _run(main_coroutine: Coroutine[Any, Any, int | None]) -> int:
    """Runs on uvloop where it exists; what gives no exit code has done its work."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main_coroutine) or DONE
    return uvloop.run(main_coroutine) or DONE


# -- serve -----------------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    keep_memory()
    flags = {
        "server.host": options.host,
        "server.port": options.port,
        "server.internal_port": options.internal_port,
        "server.workers": options.workers,
    }
    overrides = {path: value for path, value in flags.items() if value is not None}

    def reload() -> Config:
        return load(options.config, os.environ, overrides).config

    loaded = load(options.config, os.environ, overrides)
    config, key = loaded.config, os.environ.get(KEY_VARIABLE) or None
    secrets = _provider_secrets(config, key, demo=options.demo)
    log.configure(config.log.level, config.log.format, secrets=secrets, prompts=config.log.prompts)
    # Imported here so that `wavegate keys new` does not wait for codecs and an HTTP server.
    from gateway.workers.link import Link

    link = Link.inherited(os.environ)
    if link is None:
        for warning in loaded.warnings:
            log.event(logging.getLogger("wavegate"), "config.odd", reason=warning)
        if config.server.workers > 1:
            return _supervise(config, options)
    from gateway.running import serve

    return _run(serve(config, key, demo=options.demo, reload=reload, link=link))


def _supervise(config: Config, options: argparse.Namespace) -> int:
    from gateway.workers.command import flags, listening, supervise

    # What the workers are called with as well; the public port is handed to them, whatever number it got.
    given = flags({name: getattr(options, name) for name in ("config", "host", "port", "internal_port", "workers")})
    return _run(supervise(config, listening(config, demo=options.demo), given, os.environ))


def _provider_secrets(config: Config, key: str | None, *, demo: bool) -> list[Secret]:
    """What must never be written anywhere; checks on the way that there is a provider to buy from."""
    if demo:
        return []
    if key is not None:
        return [Secret(key)]
    if config.upstream.api_key_file is not None:
        from gateway.upstream.keys import read_keys

        return read_keys(Path(config.upstream.api_key_file))
    raise UsageError(NO_KEY)


# -- the other commands ----------------------------------------------------------------------------------------------


def _simulate(options: argparse.Namespace) -> int:
    if options.speed < 0:
        raise UsageError("--speed is 0 or more")
    if options.scenarios:
        from gateway.upstream.simulator.scenario import describe

        print(describe())
        return DONE
    from gateway.running import simulate

    return _run(simulate(options.host, options.port, options.speed, options.replay))


def _probe(options: argparse.Namespace) -> int:
    from gateway.upstream.keys import ProviderKey
    from gateway.upstream.probe import command
    from gateway.upstream.probe.purchase import Purchase
    from gateway.upstream.probe.report import Discretion

    config = load(options.config, os.environ).config
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and config.upstream.api_key_file is None:
        raise UsageError(NO_KEY_TO_PROBE)
    prompt = command.PROMPT if options.prompt is None else options.prompt
    secrets = _provider_secrets(config, key, demo=False)
    log.configure(config.log.level, config.log.format, secrets=secrets)

    def tell(line: str) -> None:
        print(f"  {line}", file=sys.stderr)

    try:
        song = command.order(config.upstream, prompt, options.format, options.save)
        purchase = Purchase(config.upstream, ProviderKey(key, config.upstream.api_key_file), song, tell=tell)
        print(command.offer(purchase), end="", file=sys.stderr)
        if not options.yes:
            command.confirm(sys.stdin, sys.stderr)
    except command.OrderError as refused:
        raise UsageError(str(refused)) from None
    return _run(command.probe(purchase, Discretion(secrets, prompt), options.save, out=sys.stdout, err=sys.stderr))


def _listen(options: argparse.Namespace) -> int:
    from gateway.client.listen import listen

    _check_listening(options)
    key = None if options.ticket is not None else _tenant_key(options)
    lyrics = None
    if options.lyrics_file is not None:
        try:
            lyrics = options.lyrics_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise UsageError(f"cannot read {options.lyrics_file}: {reason}") from None
    output = options.output if options.output in (None, "-") else Path(options.output)
    coroutine = listen(
        options.server,
        key,
        ticket=options.ticket,
        prompt=options.prompt,
        lyrics=lyrics,
        text=options.text,
        voice=options.voice,
        model=options.model,
        idempotency_key=options.idempotency_key,
        stream_id=options.stream,
        since="start" if options.since is None else options.since,
        format=options.format,
        output=output,
        measuring=_measuring,
    )
    return asyncio.run(coroutine)


def _check_listening(options: argparse.Namespace) -> None:
    """What does not go together; an option that would do nothing is a mistake. Raises UsageError."""
    if options.voice is not None and options.text is None:
        raise UsageError("--voice goes with --text")
    if options.text is not None and options.model is not None and options.voice is None:
        raise UsageError("each model has voices of its own: say which with --voice")
    if options.since is not None and options.stream is None:
        raise UsageError("--since goes with --stream: whoever orders hears it from its start")
    if options.model is not None and options.stream is not None:
        raise UsageError("--model does not go with --stream: that one has been made")


def _measuring(mime: str, sample_rate: int, channels: int) -> Any:
    """What measures a song for the picture; imported once there is something to measure, for codecs take their time."""
    from transcode.levels import levels

    return levels(mime, sample_rate, channels)


def _tenant_key(options: argparse.Namespace) -> str:
    key: str | None = options.key or os.environ.get("WAVEGATE_KEY")
    if not key:
        raise UsageError("say who you are: --key K, or WAVEGATE_KEY in the environment (the demo's key is demo)")
    return key


def _ticket(options: argparse.Namespace) -> int:
    from gateway.client.errors import USAGE as WRONG
    from gateway.client.errors import ClientError
    from gateway.client.ticket import mint

    key = _tenant_key(options)
    try:
        ticket, expires_at = mint(options.server, key, options.stream, options.ttl, options.uses)
    except ClientError as error:
        print(f"wavegate: {error}", file=sys.stderr)
        return USAGE if error.code in WRONG else FAILED
    print(ticket)
    until = datetime.fromtimestamp(expires_at, UTC).isoformat()
    often = {0: "as often as you like", 1: "once"}.get(options.uses, f"{options.uses} times")
    print(f"good until {until}, {often}; it is shown only here", file=sys.stderr)
    return DONE


def _bench(options: argparse.Namespace) -> int:
    most = BENCHES[options.bench].most
    if not most >= options.seconds >= LEAST_SECONDS:
        raise UsageError(f"--seconds is {LEAST_SECONDS:g} to {most:g}")
    if options.rounds < 1:
        raise UsageError("--rounds is 1 or more")
    listeners = getattr(options, "listeners", None)
    if listeners is not None and not MOST_LISTENERS >= listeners >= 1:
        raise UsageError(f"--listeners is 1 to {MOST_LISTENERS}")
    order = Order(options.seconds, options.rounds, options.only or (), options.json, options.strict, listeners)
    # As Ctrl-C: whatever the bench has started is ended.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return BENCHES[options.bench].run(order, sys.stdout, sys.stderr)
    except BenchError as error:
        print(f"wavegate: {error}", file=sys.stderr)
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, before)


def _new_key(options: argparse.Namespace) -> int:
    try:
        msgspec.convert(options.tenant, TenantName)
    except msgspec.ValidationError:
        raise UsageError(
            "a tenant's name is 1 to 64 small letters, digits, - and _, with a letter or digit first"
        ) from None
    key = new_tenant_key()
    print(f"key   {key}      (shown once: give it to {options.tenant})")
    print(f"hash  {key_hash(key)}")
    print("In the configuration:")
    print(f'tenants:\n  - id: {options.tenant}\n    keys: ["{key_hash(key)}"]')
    return DONE


def _check(options: argparse.Namespace) -> int:
    loaded = load(options.file, {})
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{options.file}: good")
    return DONE


def _default(options: argparse.Namespace) -> int:
    del options
    print(default_yaml(), end="")
    return DONE


_COMMANDS: dict[str, Command] = {
    "serve": _serve,
    "simulate": _simulate,
    "probe": _probe,
    "listen": _listen,
    "ticket": _ticket,
    "keys new": _new_key,
    "check-config": _check,
    "bench": _bench,
    "default-config": _default,
}
