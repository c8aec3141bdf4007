"""A crowd: lines on one epoll, read in passes by one thread, and orders that are carried out between the passes.

Between passes it rests a little: so a server that writes to thousands of sockets need not wake a reader for each, which
no server on a network has to, and what came meanwhile for many is read in one go.
Invariant: an order is a generator that is asked once a pass, so none keeps lines from being read.
It must not know where orders come from.
"""

import random
import resource
import select
import socket
import time
from collections.abc import Callable, Generator
from itertools import cycle

from gateway.bench.crowd import orders
from gateway.bench.crowd.doors import Entrance, Make, Since
from gateway.bench.crowd.group import Group
from gateway.bench.crowd.line import Line
from gateway.bench.crowd.mayhem import CHURN, Mayhem
from gateway.bench.crowd.orders import Answer, Churned, Door, Found, Join, Joined, Left
from gateway.bench.crowd.reference import Reference

REST_SECONDS = 0.004
_NAP_SECONDS = 0.0005  # while somebody is at the door, who is not to wait for us
_LOOK_SECONDS = 0.1
_ACT_SECONDS = 0.02
_NARROW_BYTES = 4096
_AT_ONCE = 512  # lines between two looks at the clock
_READ = select.EPOLLIN | select.EPOLLET
_OPEN = select.EPOLLOUT | select.EPOLLET

Course = Generator[None, None, Answer]


class Opening:
    """A line that is not connected yet."""

    __slots__ = ("_crowd", "_line", "_request")

    def __init__(self, crowd: "Crowd", line: Line, request: bytes) -> None:
        self._crowd = crowd
        self._line = line
        self._request = request

    def ready(self, now: float) -> None:
        """The connection stands, or never will."""
        line = self._line
        line.heard_at = now
        refused = line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            line.lost(f"no connection: error {refused}")
            return
        self._crowd.lines[line.fd] = line
        self._crowd.listen(line)
        line.say(self._request)


class Crowd:
    """`lines` by their files, `groups` by their names, `references` by url and stream."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, rest: float = REST_SECONDS) -> None:
        self.lines: dict[int, Line | Opening] = {}
        self.groups: dict[str, Group] = {}
        self.references: dict[tuple[str, str], Reference] = {}
        self.members: dict[str, set[Line]] = {}
        self.clock = clock
        self._rest = rest
        self._epoll = select.epoll()
        self._greeting: set[Line] = set()
        self._marked_at = clock()
        self._marked_cpu = _cpu()
        self._looked_at = clock()
        self._pause = 0.0
        self._mayhem: Mayhem | None = None

    def close(self) -> None:
        """Everybody leaves."""
        for name in list(self.members):
            self._leave(name)
        self._epoll.close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """A pass over all lines that have something, and a rest when there is nobody at the door."""
        lines, poll, clock = self.lines, self._epoll.poll, self.clock
        while True:
            events = poll(0, _AT_ONCE)
            now = clock()
            for fd, _ in events:
                line = lines.get(fd)
                if line is not None:
                    line.ready(now)
            if len(events) < _AT_ONCE or self._greeting:
                break
        self._pause = max(self._pause, now - self._looked_at)
        self._looked_at = now
        if not self._greeting:
            time.sleep(self._rest)
        elif not events:
            time.sleep(_NAP_SECONDS)

    def listen(self, line: Line) -> None:
        """Hears the line from now on, also one that was not listened to."""
        self._epoll.modify(line.fd, _READ)

    def ignore(self, line: Line) -> None:
        """Takes nothing from the line."""
        self._epoll.modify(line.fd, 0)

    def greeted(self, line: Line) -> None:
        self._greeting.discard(line)

    def left(self, line: Line) -> None:
        self._epoll.unregister(line.fd)
        del self.lines[line.fd]
        self._greeting.discard(line)
        self.members[line.group.name].discard(line)

    # -- coming and going ----------------------------------------------------------------------------------------------

    def group(self, name: str) -> Group:
        """The group of this name, which there is from now on."""
        self.members.setdefault(name, set())
        return self.groups.setdefault(name, Group(name))

    def reference(self, url: str, stream: str) -> Reference:
        """What is heard of a stream."""
        return self.references.setdefault((url, stream), Reference())

    def open(self, address: tuple[str, int], make: Make, *, narrow: bool = False) -> Line:
        """A new line to this address, with a small window if `narrow`. Raises OSError when there are no files left."""
        new = socket.socket()
        if narrow:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BYTES)
        new.setblocking(False)
        line = make(new)
        self.lines[line.fd] = Opening(self, line, line.request)
        self.members[line.group.name].add(line)
        self._greeting.add(line)
        self._epoll.register(line.fd, _OPEN)
        new.connect_ex(address)
        return line

    # -- orders --------------------------------------------------------------------------------------------------------

    def carry_out(self, order: orders.Order) -> Course:
        """The order's course: to be asked for its next step once a pass, until it returns the answer."""
        match order:
            case Join():
                return self._join(order)
            case orders.Mark():
                return _at_once(self._mark)
            case orders.Report():
                return _at_once(self._report)
            case orders.End():
                return self._end(order.seconds)
            case orders.Churn():
                return self._churn(order)
            case _:
                return _at_once(lambda: Left(self._leave(order.group)))

    def _join(self, order: Join) -> Course:
        group = self.group(order.group)
        entrance = Entrance(order.url, order.key, order.extension)
        makers = [
            entrance.maker(self, group, self.reference(order.url, stream), order.door, stream, order.since)
            for stream in order.streams
        ]
        coming = cycle(makers)
        begin, before, left = self.clock(), group.joined, group.gone
        waiting = order.count
        while True:
            while waiting and len(self._greeting) < order.outstanding:
                self.open(entrance.address, next(coming))
                waiting -= 1
            came = group.joined - before
            if came + group.gone - left >= order.count or self.clock() - begin > order.seconds:
                break
            yield
        return Joined(came, max(0.0, group.last_joined_at - begin))

    def _churn(self, order: orders.Churn) -> Course:
        entrance = Entrance(order.url, order.key, order.extension)
        if self._mayhem is None:
            self._mayhem = Mayhem(random.Random(order.seed))  # noqa: S311 - the same course of events in every run
        mayhem, place = self._mayhem, _Place(self, entrance, self.group(CHURN))
        end = self.clock() + order.seconds
        look = 0.0
        while (now := self.clock()) < end:
            if now >= look:
                look = now + _ACT_SECONDS
                mayhem.act(place, now, order.streams, order.listeners)
            yield
        mayhem.calm(place)
        return Churned(dict(mayhem.counts))

    def _leave(self, name: str) -> int:
        """With resets: closed in order, 12,000 ports would be taken for a minute."""
        lines = list(self.members.get(name, ()))
        for line in lines:
            line.ended = True
            line.close(reset=True)
        if not any(self.members.values()):
            # Nobody is held against these songs any more: hours of them would take all memory.
            for group in self.groups.values():
                group.judge()
            self.references.clear()
        return len(lines)

    def _mark(self) -> None:
        for group in self.groups.values():
            group.mark()
        self._marked_at = self._looked_at = self.clock()
        self._marked_cpu = _cpu()
        self._pause = 0.0

    def _end(self, seconds: float) -> Course:
        end = self.clock() + seconds
        look = 0.0
        while (now := self.clock()) < end:
            if now >= look:
                look = now + _LOOK_SECONDS  # not in every pass: that is looking at all of them
                if all(line.ended for lines in self.members.values() for line in lines):
                    break
            yield
        return self._report()

    def _report(self) -> Found:
        now = self.clock()
        groups = {}
        for name, group in self.groups.items():
            group.judge()
            members = self.members[name]
            silences = [now - line.heard_at for line in members if line.joined and not line.ended]
            groups[name] = orders.Group(
                frames=group.frames,
                heard=group.heard,
                size=group.size,
                silence=max([group.silence, *silences]),
                present=len(members),
                joined=group.joined,
                ended=group.ended,
                whole=group.whole,
                gone=group.gone,
                recovered=group.recovered,
                faults=dict(group.faults.counts),
                words=list(group.faults.words),
            )
        spreads = [spread for log in self.references.values() for spread in log.spreads(self._marked_at)]
        return Found(now - self._marked_at, _cpu() - self._marked_cpu, self._pause, spreads, groups)


class _Place:
    """Where mayhem happens: one gateway's doors."""

    def __init__(self, crowd: Crowd, entrance: Entrance, group: Group) -> None:
        self._crowd = crowd
        self._entrance = entrance
        self._group = group
        self.listen = crowd.listen
        self.ignore = crowd.ignore

    def enter(self, door: Door, stream: str, since: Since, *, narrow: bool) -> Line:
        crowd, entrance = self._crowd, self._entrance
        log = crowd.reference(entrance.url, stream)
        make = entrance.maker(crowd, self._group, log, door, stream, since)
        return crowd.open(entrance.address, make, narrow=narrow)


def _at_once(do: Callable[[], Answer]) -> Course:
    """The course of an order that takes no time."""
    yield from ()
    return do()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
