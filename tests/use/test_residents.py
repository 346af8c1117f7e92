"""Synchronous context managers are entered and left in one thread."""

import contextlib
import sqlite3
import threading

import pytest
from oneiric_hookspecs import Candidate, FactoryError, Key

from oneiric import assemble

BOOK = Key.of("adapter", "book")


def runtime_of(*candidates):
    runtime = assemble({}, environment=False)
    runtime.register(*candidates)
    return runtime


def test_a_context_is_left_in_the_thread_that_entered_it(run):
    """A connection of SQLite, which refuses any other thread, is closed."""
    threads = []

    @contextlib.contextmanager
    def book():
        threads.append(threading.current_thread())
        with contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE loans (who)")
            yield db
            threads.append(threading.current_thread())
            db.execute("SELECT * FROM loans")

    async def main():
        runtime = runtime_of(Candidate(BOOK, "sqlite", book))
        async with runtime, runtime.use("adapter", "book") as db:
            assert isinstance(db, sqlite3.Connection)
        return await runtime.close()

    report = run(main())

    assert [(each.ending, each.error) for each in report.retirements] == [("closed", "")]
    assert threads[0] is threads[1]
    threads[0].join(5)
    assert not threads[0].is_alive()


def test_a_generator_does_the_same(run):
    """What follows its yield runs where what came before ran."""
    threads = []

    def book():
        threads.append(threading.get_ident())
        yield "a book"
        threads.append(threading.get_ident())

    async def main():
        runtime = runtime_of(Candidate(BOOK, "generator", book))
        async with runtime:
            async with runtime.use("adapter", "book") as found:
                return found

    assert run(main()) == "a book"
    assert len(threads) == 2
    assert len(set(threads)) == 1


def test_a_context_that_cannot_be_entered_leaves_no_thread(run):
    """Its error is the reason, and the thread that was meant to stay ends."""
    threads = []

    @contextlib.contextmanager
    def book():
        threads.append(threading.current_thread())
        raise OSError("no such shelf")
        yield

    async def main():
        runtime = runtime_of(Candidate(BOOK, "broken", book))
        async with runtime:
            with pytest.raises(FactoryError, match="no such shelf"):
                async with runtime.use("adapter", "book"):
                    pass

    run(main())

    threads[0].join(5)
    assert not threads[0].is_alive()
