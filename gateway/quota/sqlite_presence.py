"""Whether the ledger's file is still where it was opened: who deletes or moves it under us, SQLite does not tell.

Without this all that is booked until the next start would go into a file without a name, and be lost with it.
Invariant: a file that is gone is written anew from the connection that still has it, never over one that somebody has
put there meanwhile; until it has its name again nobody reads half of it. One look is a call of the kernel, 2 us.
It must not know what the rows mean.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress

from gateway.log import event
from gateway.quota.sqlite_schema import make

logger = logging.getLogger("wavegate.ledger")

Connect = Callable[[], sqlite3.Connection]


class Presence:
    """Of one connection after the other to the file at `path`; only one that `writes` puts a lost file back.

    Used in one thread. `stands` is asked before each transaction; False means that a new connection is to be made.
    """

    def __init__(self, path: str, connect: Connect, *, writes: bool) -> None:
        self._path = path
        self._connect = connect
        self._writes = writes
        self._known: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        """A new connection, and what it is a connection to."""
        connection = self._connect()
        self._known = _identity(self._path)
        return connection

    def stands(self, connection: sqlite3.Connection) -> bool:
        """Whether it is a connection to the file of this name, which is put back where it is gone.

        Where that cannot be done it stands all the same: it alone has what was booked, and the next time may do.
        """
        now = _identity(self._path)
        if now == self._known:
            return True
        if now is None and not self._writes:
            return True  # what it had can still be read, until the file is back
        if self._writes:
            event(logger, "ledger.file_lost", path=self._path, how="deleted" if now is None else "replaced")
            if now is None:
                try:
                    put_back(connection, self._path)
                except (OSError, sqlite3.Error) as trouble:
                    event(logger, "ledger.failed", reason=str(trouble))
                    return True
        return False


def put_back(connection: sqlite3.Connection, path: str) -> None:
    """Writes all that the connection has into a file of this name, if there is none. Raises OSError, sqlite3.Error."""
    copy = f"{path}-{os.getpid()}"
    try:
        make(copy)
        with closing(sqlite3.connect(copy)) as file:
            connection.backup(file)
        if os.path.exists(path):
            return
        # Of a file that is gone; all that is in them has just been copied, and to the new one they would be strange.
        for rest in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(path + rest)
        # Not over what somebody else has put there in this very moment.
        with suppress(FileExistsError):
            os.link(copy, path)
    finally:
        for rest in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(copy + rest)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
