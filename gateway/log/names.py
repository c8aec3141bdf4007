"""Every event that the gateway logs: its level, what tells repetitions apart, and what it says, in one table.

Invariant: the list is closed. A test finds every call of `event` in the code and fails for a name that is not here, or
that nobody logs; deploy/logs.md is proven equal to it. A name is `noun.happened`, and stable: alerts are written on it.
It must not know how a line looks, nor where it goes.
"""

import logging
from dataclasses import dataclass

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


@dataclass(frozen=True, slots=True)
class Event:
    """`key` names the fields by which two of them are the same; None is never held back as a repetition.

    A caller that knows better may give another `level`.
    """

    level: int
    sentence: str
    key: tuple[str, ...] | None = ()


EVENTS: dict[str, Event] = {
    # the process
    "gateway.room": Event(INFO, "How many connections and how much memory there is room for."),
    "gateway.ready": Event(INFO, "Both ports are open."),
    "gateway.full": Event(WARNING, "Something new was turned away, for there is no room.", ("reason",)),
    "address.limited": Event(WARNING, "One address had more than its share, and was turned away.", ("reason",)),
    "gateway.draining": Event(INFO, "Nothing new is taken; what runs may end."),
    "gateway.stopped": Event(INFO, "Everything is closed."),
    "config.odd": Event(WARNING, "Something in the configuration works, and is hardly meant so.", ("path",)),
    "config.reloaded": Event(INFO, "Tenants and limits were read again."),
    "config.refused": Event(ERROR, "The new configuration has mistakes; the old one goes on."),
    "config.failed": Event(ERROR, "The new configuration could not be taken up; the old one goes on."),
    "certificate.used": Event(INFO, "A changed certificate is that of the public port from now on."),
    "certificate.refused": Event(ERROR, "A changed certificate cannot be used; the old one goes on.", ("reason",)),
    "certificate.ended": Event(ERROR, "The certificate of the public port is past its end."),
    "handshake.failed": Event(DEBUG, "A connection did not come to terms about TLS.", ("reason",)),
    "proxy.no_header": Event(WARNING, "A trusted proxy's connection began with no PROXY header.", ("reason",)),
    "log.dropped": Event(WARNING, "Lines were lost, because whoever reads them did not.", None),
    "task.broke": Event(ERROR, "Something that ran beside the rest broke by a fault of ours.", ("task",)),
    # requests
    "request.refused": Event(INFO, "A request got an error body; a warning if it is our fault.", ("code", "tenant")),
    "request.failed": Event(ERROR, "A handler broke by a fault of ours.", ("route",)),
    "request.unreadable": Event(DEBUG, "Something that is no HTTP request."),
    "client.too_much": Event(
        DEBUG, "A client has said more at once than any request is long, while others were to be heard, and was cut."
    ),
    "request.late": Event(DEBUG, "A connection has not said in time what it wants, and was cut."),
    "usage.left": Event(DEBUG, "Whoever asked for a table of usage has gone.", ("tenant",)),
    "usage.broke_off": Event(WARNING, "A table of usage could not be finished.", ("tenant",)),
    # sessions and playbacks
    "session.began": Event(DEBUG, "A WebSocket was taken over.", None),
    "session.ended": Event(INFO, "A WebSocket session from its start to its end: one line each.", None),
    "session.refused": Event(INFO, "A message of a session was answered with an error.", ("code", "tenant")),
    "session.failed": Event(ERROR, "A message could not be carried out by a fault of ours.", ("message",)),
    "playback.began": Event(DEBUG, "A player has begun to listen over HTTP.", None),
    "playback.ended": Event(INFO, "A listener over HTTP from its start to its end: one line each.", None),
    "listener.broke": Event(ERROR, "A listener's transport broke by a fault of ours, and it was let go."),
    "quota.news_failed": Event(ERROR, "Nobody could be told what a tenant has left.", ("tenant",)),
    "quota.news_unheard": Event(ERROR, "One session could not be told what its tenant has left.", ("tenant",)),
    "ticket.seconds_kept": Event(WARNING, "Seconds of a ticket stay taken that were not used."),
    "ticket.uses_failed": Event(WARNING, "The uses of tickets cannot be looked at."),
    # streams
    "stream.created": Event(INFO, "A generation was ordered and reserved.", None),
    "stream.queued": Event(DEBUG, "It waits for its turn at the provider.", ("stream_id",)),
    "stream.accepted": Event(DEBUG, "The provider has begun, and this is its name for it.", None),
    "stream.sounded": Event(DEBUG, "The provider's first sound is here.", None),
    "stream.silent": Event(WARNING, "Its sound stands still, or is digital silence, for long.", None),
    "stream.sounding": Event(INFO, "It sounds again after that, or has ended.", None),
    "stream.ended": Event(INFO, "A generation from order to bill: one line each; a warning if it failed.", None),
    "stream.failed": Event(ERROR, "A generation ended by a fault of ours."),
    "stream.tail_lost": Event(ERROR, "The last chunk of a failed generation could not be given out."),
    "stream.not_shared": Event(WARNING, "A song was ordered without asking other nodes for it.", ("code",)),
    "stream.not_handed_over": Event(WARNING, "No other node keeps it while this one goes.", ("code",)),
    # the provider
    "upstream.retried": Event(INFO, "A generation that failed before its first sound is tried again.", ("code",)),
    "upstream.key_set_aside": Event(WARNING, "The provider refuses a key: others are used.", ("key", "model")),
    "upstream.account_untold": Event(ERROR, "Other nodes were not told what this one holds of the account."),
    "upstream.recording_dropped": Event(WARNING, "A generation is not recorded.", ("reason",)),
    # the ledger
    "ledger.begin_failed": Event(ERROR, "A generation was not noted as begun."),
    "ledger.extend_failed": Event(ERROR, "No more seconds could be reserved for a generation."),
    "ledger.renew_failed": Event(ERROR, "The lease of a generation was not renewed."),
    "ledger.lease_lost": Event(WARNING, "The slot of a generation that runs has been given to others."),
    "ledger.unsettled": Event(ERROR, "A bill was not taken; it is tried again.", ("stream_id",)),
    "ledger.traffic_failed": Event(ERROR, "What listeners took could not be booked; it is tried again."),
    "ledger.failed": Event(WARNING, "The ledger's file cannot be written or read.", ("reason",)),
    "ledger.file_lost": Event(ERROR, "The ledger's file was deleted or replaced under it; what was in it is kept."),
    "ledger.step_failed": Event(ERROR, "A step of the ledger broke by a fault of ours."),
    "ledger.stuck": Event(ERROR, "The ledger does not end: what it has not written by now may be lost.", None),
    "ledger.alone": Event(ERROR, "Redis is away: this node keeps its own books from now on."),
    "ledger.together": Event(WARNING, "Redis is back: what was booked alone is booked there."),
    "ledger.closed_alone": Event(ERROR, "The gateway stops while Redis is away: these rows are lost.", None),
    "ledger.may_be_evicted": Event(WARNING, "Redis may throw the ledger out for want of memory."),
    "ledger.may_be_forgotten": Event(WARNING, "Redis keeps no log: a restart loses the ledger."),
    # other formats
    "codec.worker_started": Event(INFO, "A process that encodes is ready.", ("worker",)),
    "codec.worker_restarted": Event(INFO, "A process that encodes is ready again.", ("worker",)),
    "codec.worker_unready": Event(ERROR, "A process that encodes did not start.", ("worker",)),
    "codec.worker_hung": Event(ERROR, "A process that encodes took too long for a step, and was killed.", ("worker",)),
    "codec.worker_died": Event(ERROR, "A process that encodes has ended.", ("worker",)),
    "codec.worker_failed": Event(ERROR, "Looking after a process that encodes broke by a fault of ours.", ("worker",)),
    "codec.encode_failed": Event(WARNING, "A codec failed on a song.", ("codec", "reason")),
    "codec.encode_unheard": Event(ERROR, "An encoded step was not taken, by a fault of ours.", ("codec",)),
    "clip.timed_out": Event(WARNING, "A clip was not cut in time."),
    "clip.failed": Event(WARNING, "A clip could not be cut.", ("reason",)),
    "clip.process_lost": Event(WARNING, "A process that cuts clips has ended.", ("reason",)),
    # several processes
    "worker.started": Event(INFO, "A gateway process of this supervisor serves.", ("worker",)),
    "worker.ended": Event(INFO, "A gateway process has ended; an error if it should not have.", ("worker",)),
    "worker.not_started": Event(ERROR, "A gateway process could not be started.", ("worker",)),
    "worker.not_ready": Event(ERROR, "A gateway process did not become ready.", ("worker",)),
    "worker.hung": Event(ERROR, "A gateway process has answered nothing for too long, and is killed.", ("worker",)),
    "worker.stuck": Event(ERROR, "A gateway process does not end, and is killed.", ("worker",)),
    "workers.none_started": Event(ERROR, "No gateway process could be started."),
    "workers.metrics_unread": Event(ERROR, "The metrics of a gateway process are not understood.", ("reason",)),
    "restart.began": Event(INFO, "One gateway process after another is being replaced."),
    "restart.done": Event(INFO, "All gateway processes were replaced."),
    "restart.refused": Event(WARNING, "A restart was asked for while one is under way."),
    "restart.broke_off": Event(ERROR, "A new gateway process has not become ready: the old ones go on."),
    # other nodes
    "redis.away": Event(ERROR, "Redis does not answer.", ("reason",)),
    "redis.back": Event(WARNING, "Redis answers again."),
    "node.came": Event(INFO, "Another node was heard of.", ("node",)),
    "node.left": Event(INFO, "Another node said that it goes.", ("node",)),
    "node.lost": Event(WARNING, "Another node has not been heard of for too long.", ("node",)),
    "node.sign_failed": Event(ERROR, "A sign of life broke by a fault of ours."),
    "node.says_nothing": Event(ERROR, "What this node says of itself broke by a fault of ours."),
    "cluster.list_partial": Event(WARNING, "A list is without the streams of one node.", ("node", "code")),
    "cluster.streams_untold": Event(WARNING, "Other nodes do not know some streams yet."),
    "cluster.feed_failed": Event(ERROR, "What another node sends of a stream could not be read."),
    "cluster.reader_failed": Event(ERROR, "The reader of a log broke by a fault of ours."),
    "cluster.writer_failed": Event(ERROR, "The writer of a log broke by a fault of ours."),
    "cluster.reading_failed": Event(ERROR, "Reading what other nodes write broke, and goes on."),
    "cluster.sending_failed": Event(ERROR, "Sending to other nodes broke, and goes on."),
    "cluster.directory_failed": Event(ERROR, "Telling what is owned here broke, and is tried again."),
    "cluster.letter_unreadable": Event(ERROR, "A letter of another node cannot be read."),
    "cluster.letter_failed": Event(ERROR, "A letter of another node could not be answered.", ("kind",)),
    "cluster.answer_unsent": Event(ERROR, "An answer to another node is too long.", ("kind",)),
}


def level_of(name: str) -> int:
    """The level of an event; of one that is not in the table, which a test would find, that of usual news."""
    known = EVENTS.get(name)
    return INFO if known is None else known.level
