"""The composition root: a recipe that builds the gateway from its parts; the only file that knows every class.

Invariant: what is opened here is closed here, in the opposite order, whatever happens in between. Nothing below this
file builds its own collaborators.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from gateway import __version__
from gateway.cluster.cluster import RedisCluster
from gateway.config.demo import DEMO_KEY, DEMO_SPEED, demo_config
from gateway.config.schema import Config
from gateway.encoding.clips import ClipPool
from gateway.encoding.pool import EncodingPool
from gateway.errors import ServiceError, StartError
from gateway.log import event as log_event
from gateway.log import watch
from gateway.log.traces import traces
from gateway.quota.ledger import Ledger
from gateway.quota.metered import MeteredLedger
from gateway.quota.opening import ledger_at
from gateway.quota.policy import Rules
from gateway.quota.prices import Price, Prices
from gateway.quota.uses import MemoryUses, Uses
from gateway.quota.uses_redis import RedisUses
from gateway.quota.uses_sqlite import SqliteUses
from gateway.redis.connection import Redis
from gateway.relay.hub import Hub
from gateway.server import office, requests
from gateway.server.admission import MEMORY_SHARE, Admission, capacity, files_for
from gateway.server.audio import AudioDoor
from gateway.server.auth import Tenants
from gateway.server.bounded import bounded
from gateway.server.callers import Callers
from gateway.server.certificates import Certificates, Files
from gateway.server.clip import ClipDoor
from gateway.server.connections import Connections
from gateway.server.cors import Cors
from gateway.server.debug import DebugDoor
from gateway.server.drain import Drain
from gateway.server.forwarding import Forwarding
from gateway.server.gauges import Gauges
from gateway.server.hls.door import HlsDoor
from gateway.server.hls.sessions import Playbacks
from gateway.server.internal import Internal, by_its_name
from gateway.server.malformed import in_our_words
from gateway.server.pages import Pages, read_pages
from gateway.server.port import Addresses, Port, url
from gateway.server.prefixes import Prefixes
from gateway.server.quotanews import QuotaNews
from gateway.server.reception import Reception
from gateway.server.repeats import Repeats
from gateway.server.resources import allow_files, memory_limit, resident_bytes
from gateway.server.rest import Rest, errors
from gateway.server.seats import Seats
from gateway.server.services import Services
from gateway.server.session import ClientSession
from gateway.server.specs import Specs, read_specs
from gateway.server.speech import SpeechDoor
from gateway.server.upgrade import WebSocketDoor, parting
from gateway.server.usage import UsageDoor
from gateway.upstream.account import Account
from gateway.upstream.account_redis import SharedAccount
from gateway.upstream.dashscope import DashScopeSource
from gateway.upstream.flight import FlightRecorder
from gateway.upstream.governed import GovernedSource
from gateway.upstream.governor import Governor
from gateway.upstream.keys import ProviderKey
from gateway.upstream.retry import RetryPolicy
from gateway.upstream.simulator.server import Simulator
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.app")

# Over which a song fades out whose budget ends.
FADE_SECONDS = 3.0
# How long sockets have for their closing handshakes once everything else has ended.
GOODBYE_SECONDS = 2.0


class Gateway:
    """A whole gateway in this event loop: `async with Gateway(config, key) as gateway:`; then `gateway.addresses`.

    `provider_key` is the value of DASHSCOPE_API_KEY, or None for `upstream.api_key_file`. With `demo` the provider is
    the built-in simulator; `resident` tells the memory of this process. `sockets` are bound already and are the
    public port then. Raises OSError when a port is taken.
    """

    def __init__(
        self,
        config: Config,
        provider_key: str | None,
        *,
        demo: bool = False,
        resident: Callable[[], int] = resident_bytes,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._config = config
        self._provider_key = provider_key
        self._demo = demo
        self._stack = AsyncExitStack()
        self._resident = resident
        self._sockets = sockets
        self.recorder = Recorder(version=__version__, max_tenants=config.metrics.max_tenant_labels)
        self.connections = Connections(config, self.recorder, time.monotonic)
        bounds = (config.server.max_url_bytes, config.server.max_header_bytes, config.server.max_message_bytes)
        self.callers = Callers(config.server.handshake_timeout, self.recorder, time.monotonic, *bounds)
        self.gauges: Gauges
        self.port: Port
        self.drainage: Drain
        self.admission: Admission
        self.governor: Governor
        self.hub: Hub
        self._tenants: Tenants
        self.cluster: RedisCluster | None = None
        self._seats: Seats[ClientSession]
        self._playbacks: Playbacks
        self._certificates: Certificates | None = None
        self._forwarding = Forwarding(config.server.trusted_proxies, config.server.proxy_headers)
        self.prefixes = Prefixes(config.server, self._forwarding.trusts, self.recorder, time.monotonic)
        self.addresses: Addresses

    async def __aenter__(self) -> "Gateway":
        async with AsyncExitStack() as stack:
            await self._build(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
        log_event(logger, "gateway.stopped")

    async def _build(self, stack: AsyncExitStack) -> None:
        config, key = self._config, self._provider_key
        watch(self.recorder)
        if self._demo:
            simulator = await stack.enter_async_context(Simulator(speed=DEMO_SPEED))
            config, key = demo_config(config, simulator.url), secrets.token_urlsafe(16)
            self._config = config
        redis = await self._redis(stack)
        cluster = await self._join(stack, redis)
        uses = await self._uses(stack, redis)
        tenants = Tenants(
            config.tenants,
            demo=self._demo,
            office=await office.opened(config.server.ticket_secret_file, uses),
            uses=uses,
        )
        self._tenants = tenants
        lease = config.quota.lease_seconds
        upstream = config.upstream
        keys, recorder = ProviderKey(key, upstream.api_key_file), None
        if upstream.record_dir is not None:
            recorder = FlightRecorder(Path(upstream.record_dir), known=keys.held)
            stack.push_async_callback(recorder.close)
        provider = DashScopeSource(upstream, keys, recorder=recorder)
        stack.push_async_callback(provider.close)
        account: Account | None = None
        if redis is not None and cluster is not None:
            account = await stack.enter_async_context(SharedAccount(redis, cluster.node, upstream, alone=self._alone))
        self.governor = Governor(upstream, self.recorder, account=account, weight=tenants.weight)
        retries = RetryPolicy(upstream.retry_attempts, upstream.retry_seconds)
        source = GovernedSource(provider, self.governor, retries, self.recorder, timeout=upstream.generation_timeout)
        ledger = await self._ledger(stack, tenants)
        tasks = await asyncio.TaskGroup().__aenter__()
        # Not as a context: an error while building, such as a taken port, is to arrive as itself and not as a group.
        stack.push_async_callback(tasks.__aexit__, None, None, None)
        seats = self._seats = Seats[ClientSession](tenants.limits, self.recorder)
        news = QuotaNews(seats.holders, ledger)
        teller = tasks.create_task(news.run(), name="quota news")
        stack.callback(teller.cancel)
        encodings = await stack.enter_async_context(EncodingPool(config.transcode, self.recorder))
        self.hub = Hub(
            source,
            ledger,
            encodings,
            config.relay,
            self.recorder,
            tenants.limits,
            lease_seconds=lease,
            fade_seconds=FADE_SECONDS if config.quota.budget_end == "fade" else 0.0,
            transcode=config.transcode,
            on_money=news.changed,
            cluster=cluster,
            traces=await stack.enter_async_context(traces(config.log.traces_endpoint, __version__)),
        )
        if cluster is not None and self.hub.neighbours is not None:
            for kind, handler in self.hub.neighbours.handlers.items():
                cluster.on(kind, handler)
        # The streams end first, so that everybody still connected hears how theirs ended.
        stack.push_async_callback(self.connections.close, GOODBYE_SECONDS)
        await stack.enter_async_context(self.hub)
        keeper = tasks.create_task(self.connections.run(), name="connections")
        stack.callback(keeper.cancel)
        self.admission = await self._admission()
        self.port = await self._port(tasks, stack)
        porter = tasks.create_task(self.port.run(), name="port")
        stack.callback(porter.cancel)
        repeats = Repeats(self.hub, ledger)
        services = Services(
            self.hub,
            tenants,
            config,
            tasks,
            lambda: f"se_{secrets.token_hex(8)}",
            self.admission,
            seats,
            repeats,
            news.changed,
        )
        cors = Cors(tenants)
        granted = requests.with_id(cors.granted)
        audio = AudioDoor(self.hub, self.connections, time.monotonic, granted)
        clip = ClipDoor(await stack.enter_async_context(ClipPool(config.transcode)), config.transcode.max_clips)
        websocket = WebSocketDoor(services, self.connections, self.recorder, time.monotonic)
        middlewares = [self._forwarding.middleware, requests.lines, bounded(self.prefixes), cors.middleware, parting]
        middlewares.append(errors)
        public = web.Application(middlewares=middlewares, client_max_size=config.server.max_message_bytes)
        public.on_response_prepare.extend([in_our_words, requests.named])
        public.add_routes([web.get("/v1/ws", websocket.handle)])
        usage = UsageDoor(ledger)
        reception = Reception(self.hub, tenants)
        rest = Rest(self.hub, tenants, reception, config, audio, clip, usage, repeats, self.admission, tasks)
        public.add_routes(rest.routes())
        hls = HlsDoor(self.hub, tenants, reception, self.admission, time.monotonic, config.server.session_lifetime)
        self._playbacks = hls.playbacks
        stack.callback(self._playbacks.close)
        counter = tasks.create_task(self._playbacks.run(), name="playbacks")
        stack.callback(counter.cancel)
        public.add_routes(hls.routes())
        speech = SpeechDoor(
            self.hub, tenants, reception, config, repeats, self.connections, self.admission, tasks, granted
        )
        public.add_routes(speech.routes())
        pages = await asyncio.to_thread(read_pages)
        public.add_routes(Specs(await asyncio.to_thread(read_specs), pages["docs.html"]).routes())
        public.add_routes(Pages(pages, DEMO_KEY if self._demo else None, tenants).routes())
        self.gauges = Gauges(
            self.recorder, self._unready, self.connections, self.callers, self.governor, encodings, cluster
        )
        internal = web.Application(middlewares=[errors, by_its_name])
        internal.add_routes(Internal(self.recorder, self._unready, self.gauges.look).routes())
        internal.add_routes(DebugDoor(self.hub).routes())
        server = config.server
        self.drainage = Drain(
            self.port,
            self.callers,
            self.connections,
            self._playbacks,
            self.hub,
            delay=server.drain_delay,
            window=server.drain_timeout,
            elsewhere=lambda: cluster is not None and bool(cluster.peers),
            now=time.monotonic,
        )
        public.on_response_prepare.append(self.drainage.part)
        runner = await self._runner(stack, public)
        assert runner.server is not None
        stack.callback(self.port.close)
        bound = await self.port.listen(runner.server, server.host, server.port, self._sockets)
        runner = await self._runner(stack, internal)
        await web.TCPSite(runner, server.internal_host, server.internal_port).start()
        public_url = url(server.host, bound, tls=self._certificates is not None)
        self.addresses = Addresses(public_url, url(server.internal_host, runner.addresses[0][1]))
        log_event(logger, "gateway.ready", public=self.addresses.public, internal=self.addresses.internal)

    @property
    def _alone(self) -> bool:
        """Whether this node goes on by itself while Redis is away."""
        return self._config.cluster.when_redis_is_away == "alone"

    async def _redis(self, stack: AsyncExitStack) -> Redis | None:
        """What the nodes share, if this is one of several. Raises StartError where it has to be there and is not."""
        url = self._config.cluster.redis_url
        if url is None:
            return None
        try:
            redis = await stack.enter_async_context(Redis(url, took=self.recorder.redis_command))
            if not self._alone:
                await redis.call("PING")
        except ValueError:
            raise StartError("cluster.redis_url is redis://[user:password@]host[:port][/db].") from None
        except ServiceError:
            raise StartError("cluster.redis_url: nothing answers there; is Redis running?") from None
        return redis

    async def _join(self, stack: AsyncExitStack, redis: Redis | None) -> RedisCluster | None:
        """Makes this process a node beside the others. They hear of it now, and ask it for nothing before it has told
        them of a stream.
        """
        if redis is None:
            return None
        self.cluster = await stack.enter_async_context(RedisCluster(redis, self._says))
        return self.cluster

    def _says(self) -> bytes:
        """With each sign of life; before there is anything to say, nothing."""
        hub = getattr(self, "hub", None)
        return hub.neighbours.says() if hub is not None and hub.neighbours is not None else b""

    @property
    def _store(self) -> str:
        """Where the ledger is kept: what is good for one process is not for a cluster."""
        store, shared = self._config.quota.store, self._config.cluster.redis_url
        return store if shared is None or store.startswith(("redis://", "rediss://")) else shared

    async def _ledger(self, stack: AsyncExitStack, tenants: Tenants) -> Ledger:
        quota = self._config.quota
        prices = {model: Price(price.per_second, price.per_character) for model, price in quota.prices.items()}
        rules = Rules(quota.lease_seconds, quota.estimate_seconds, quota.minimum_seconds)
        kept = ledger_at(self._store, tenants.limits, rules, Prices(prices), alone=self._alone)
        ledger = MeteredLedger(kept, self.recorder)
        try:
            await ledger.open()
        except ServiceError as error:
            await ledger.close()
            raise StartError(f"quota.store: {error.message}") from None
        stack.push_async_callback(ledger.close)
        return ledger

    async def _uses(self, stack: AsyncExitStack, redis: Redis | None) -> Uses:
        """Where the uses of tickets are counted: beside the ledger's file, so that neither waits for the other."""
        if redis is not None:
            return await stack.enter_async_context(RedisUses(redis))
        store = self._store
        if store.startswith("sqlite:///"):
            return await stack.enter_async_context(SqliteUses(store.removeprefix("sqlite:///") + "-tickets"))
        return MemoryUses()

    async def _admission(self) -> Admission:
        """How much there is room for, of what was configured and what the machine has."""
        server = self._config.server
        files = allow_files(files_for(server.max_connections))
        connections, memory = capacity(server.max_connections, files), server.max_memory_bytes
        if memory is None:
            limit = await asyncio.to_thread(memory_limit)
            memory = int(MEMORY_SHARE * limit) if limit is not None else 0
        log_event(logger, "gateway.room", connections=connections, memory_bytes=memory)
        self.recorder.memory_mark(memory)
        return Admission(connections, memory, self._occupied, self._resident, self.recorder, time.monotonic)

    async def _port(self, tasks: asyncio.TaskGroup, stack: AsyncExitStack) -> Port:
        """With what stands before the HTTP server, where something does. Raises StartError."""
        certificates = self._certificates = await Certificates.opened(self._config.server, self.recorder.certificate)
        if certificates is not None:
            watcher = tasks.create_task(certificates.run(), name="certificates")
            stack.callback(watcher.cancel)
        believed = self._forwarding.believed if self._config.server.proxy_protocol else None
        context = certificates.current if certificates is not None else None
        return Port(self.callers, self.admission, self.prefixes, time.monotonic, context, believed)

    def _occupied(self) -> int:
        """Connections at the public port: those that were taken over, those of the HTTP server, and those before it."""
        return len(self.connections) + len(self.callers) + self.port.at_threshold

    async def _runner(self, stack: AsyncExitStack, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=GOODBYE_SECONDS, auto_decompress=False
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        return runner

    def reload(self, config: Config) -> None:
        """Takes tenants, keys, limits and proxies from this configuration, and nothing else.

        They hold from the next check on; who came with a key that is gone is sent away.
        """
        self._forwarding.replace(config.server.trusted_proxies, config.server.proxy_headers)
        self._tenants.replace(demo_config(config, "").tenants if self._demo else config.tenants)
        for session in self._seats.everybody():
            session.recheck()
        self.connections.recheck(self._tenants.holds)
        self._playbacks.recheck()

    async def renew(self, config: Config) -> bool:
        """Takes the certificate from where this configuration says; False where it cannot be used."""
        files = Files.of(config.server)
        return self._certificates is None or files is None or await self._certificates.reload(files)

    async def drain(self) -> None:
        """Takes nothing new, tells every session, and gives what runs and whoever hears their time to end."""
        log_event(logger, "gateway.draining", streams=self.hub.running, connections=len(self.connections))
        await self.drainage.run()

    def _unready(self) -> list[str]:
        trouble = self.governor.trouble()
        draining = ["draining"] * self.drainage.began
        away = ["redis away"] * (self.cluster is not None and not self.cluster.ready)
        return [*draining, *away, *self.admission.full(), *([trouble] if trouble else [])]
