"""The promises of ``Database``."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from oneiric_hookspecs import Database, Queries

from .places import Places, promise, refused


class DatabaseConformance(Places):
    """The promises of ``Database``; override ``open``, and the statements where the provider's SQL has others.

    Attributes:
        durable: Whether what is kept is there again when nobody had it open meanwhile.
        create: Makes a table ``things`` with a key ``id``, and ``n``, a number.
        insert: Adds a row to it, of two values by place.
        insert_by_name: The same, of ``id`` and ``n`` by name.
        select: Gives ``id`` and ``n`` of all rows, in the order of their keys.
        double: Doubles every ``n``.
        forever: Runs for longer than anybody waits, and would change rows at its end.
    """

    create = "CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)"
    insert = "INSERT INTO things VALUES (?, ?)"
    insert_by_name = "INSERT INTO things VALUES (:id, :n)"
    select = "SELECT id, n FROM things ORDER BY id"
    double = "UPDATE things SET n = 2 * n"
    forever = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000000000)"
        " UPDATE things SET n = (SELECT max(x) FROM c)"
    )

    @promise
    async def test_it_is_one(self, database: Database) -> None:
        """It has the methods of the contract, and so has a transaction."""
        assert isinstance(database, Database)
        async with database.transaction() as queries:
            assert isinstance(queries, Queries)

    @promise
    async def test_statements(self, database: Database) -> None:
        """They change rows, and say how many; they give rows, as tuples or by name."""
        await database.execute(self.create)
        assert await database.execute(self.insert, (1, 10)) == 1
        assert await database.execute(self.insert_by_name, {"n": 20, "id": 2}) == 1
        assert await database.execute(self.double) == 2
        assert list(await database.fetch(self.select)) == [(1, 20), (2, 40)]
        assert list(await database.fetch_dicts(self.select)) == [{"id": 1, "n": 20}, {"id": 2, "n": 40}]
        assert await database.execute(self.select) == 0

    @promise
    async def test_values_stay_values(self, database: Database) -> None:
        """Whatever stands in one, it is no part of the statement."""
        await database.execute(self.create)
        await database.execute(self.insert, (1, 10))
        evil = "1; DROP TABLE things; --"
        for parameters in ((evil, 1), (2, evil)):
            with contextlib.suppress(Exception):  # it may be no number
                await database.execute(self.insert, parameters)
        assert (1, 10) in list(await database.fetch(self.select))

    @promise
    async def test_what_fails_changes_nothing(self, database: Database) -> None:
        """A statement that fails has done nothing, and the next one works."""
        await database.execute(self.create)
        await database.execute(self.insert, (1, 10))
        for statement, parameters in ((self.insert, (1, 20)), ("nonsense", ()), (self.insert, (1,))):
            await refused(database.execute(statement, parameters), Exception, statement)
        await refused(database.execute(self.insert, "ab"), TypeError, "a text as parameters")
        await refused(database.execute(None), TypeError, "no statement")  # type: ignore[arg-type]
        assert list(await database.fetch(self.select)) == [(1, 10)]

    @promise
    async def test_a_transaction_is_all_or_nothing(self, database: Database) -> None:
        """It sees its own changes; they stay when its block ends, and are gone when that raises."""
        await database.execute(self.create)
        async with database.transaction() as queries:
            await queries.execute(self.insert, (1, 10))
            assert list(await queries.fetch(self.select)) == [(1, 10)]
            assert list(await queries.fetch_dicts(self.select)) == [{"id": 1, "n": 10}]
        with contextlib.suppress(KeyError):
            async with database.transaction() as queries:
                await queries.execute(self.double)
                await queries.execute(self.insert, (2, 20))
                raise KeyError
        assert list(await database.fetch(self.select)) == [(1, 10)]
        await refused(queries.fetch(self.select), RuntimeError, "a transaction that has ended")
        async with database.transaction():
            await refused(
                queries.execute(self.double), RuntimeError, "a transaction that has ended, in another one"
            )
        assert list(await database.fetch(self.select)) == [(1, 10)]

    @promise
    async def test_transactions_do_not_mix(self, database: Database) -> None:
        """None sees half of another, and none loses what another has done; nor are other tasks' statements in one."""
        await database.execute(self.create)
        await database.execute(self.insert, (1, 0))
        seen: list[int] = []

        async def add() -> None:
            for _ in range(5):
                async with database.transaction() as queries:
                    ((_, before),) = await queries.fetch(self.select)
                    await queries.execute("UPDATE things SET n = -1")
                    await asyncio.sleep(0)
                    await queries.execute(f"UPDATE things SET n = {before + 1}")  # noqa: S608 - a number

        async def look() -> None:
            for _ in range(20):
                seen.extend(n for _, n in await database.fetch(self.select))

        await asyncio.gather(*(add() for _ in range(4)), look())
        assert list(await database.fetch(self.select)) == [(1, 20)]
        assert (-1 in seen, seen) == (False, sorted(seen))

    @promise
    async def test_a_task_in_a_transaction_is_not_kept_waiting(self, database: Database) -> None:
        """A statement that it does not give to its transaction is refused, or done; it does not wait for ever."""
        await database.execute(self.create)
        async with asyncio.timeout(30):
            async with database.transaction():
                with contextlib.suppress(RuntimeError):
                    await database.fetch(self.select)
                with contextlib.suppress(RuntimeError):
                    async with database.transaction():
                        pass

    @promise
    async def test_timeouts(self, database: Database) -> None:
        """A statement that takes too long is stopped, and has changed nothing; the next one works."""
        await database.execute(self.create)
        await database.execute(self.insert, (1, 10))
        await refused(database.execute(self.forever, timeout=0.05), TimeoutError, "a statement without end")
        assert list(await database.fetch(self.select)) == [(1, 10)]

        async def inside() -> None:
            async with database.transaction() as queries:
                await queries.execute(self.insert, (2, 20))
                await queries.execute(self.forever, timeout=0.05)

        await refused(inside(), TimeoutError, "a transaction without end")
        assert list(await database.fetch(self.select)) == [(1, 10)]
        for timeout in (0.0, -1.0, float("nan")):
            await refused(database.fetch(self.select, timeout=timeout), ValueError, f"a timeout of {timeout}")

    @promise
    async def test_a_stopped_statement_is_not_passed_over(self, database: Database) -> None:
        """A transaction that goes on after its statement was stopped is all or nothing as well."""
        await database.execute(self.create)

        async def on_and_on() -> None:
            async with database.transaction() as queries:
                await queries.execute(self.insert, (1, 10))
                with contextlib.suppress(TimeoutError):
                    await queries.execute(self.forever, timeout=0.05)
                await queries.execute(self.insert, (2, 20))

        with contextlib.suppress(Exception):
            await on_and_on()
        assert list(await database.fetch(self.select)) in ([], [(1, 10), (2, 20)])

    @promise
    async def test_who_goes_away_breaks_nothing(self, database: Database) -> None:
        """Cancelled at any step a statement is done or not, a transaction whole or rolled back; the next one works."""
        await database.execute(self.create)

        async def both(number: int) -> None:
            async with database.transaction() as queries:
                await queries.execute(self.insert, (number, 1))
                await queries.execute(self.insert, (number + 1, 1))

        for steps in range(0, 40, 2):
            task = asyncio.ensure_future(both(10 * steps))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            ids = [key for key, _ in await database.fetch(self.select) if key >= 10 * steps]
            assert ids in ([], [10 * steps, 10 * steps + 1])

    @promise
    async def test_who_does_not_wait_stops_it(self, database: Database) -> None:
        """A statement whose caller was cancelled is stopped, and others need not wait for its end."""
        await database.execute(self.create)
        await database.execute(self.insert, (1, 10))
        task = asyncio.ensure_future(database.execute(self.forever, timeout=3600.0))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(10):
            assert list(await database.fetch(self.select)) == [(1, 10)]

    def test_two_are_one(self) -> None:
        """What one has done another at the same place sees; where it is ``durable``, one that comes later, too."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as one, self.opened(place) as other:
                await one.execute(self.create)
                async with one.transaction() as queries:
                    await queries.execute(self.insert, (1, 10))
                assert list(await other.fetch(self.select)) == [(1, 10)]
            async with self.opened(place) as later:
                assert list(await later.fetch(self.select)) == [(1, 10)]

        if self.durable:
            self.run(main())

    @promise
    async def test_nothing_goes_on_after_the_end(self, database: Database) -> None:
        """What was begun is finished; closing again does nothing more; everything else says that it is closed."""
        await database.execute(self.create)
        adding = asyncio.ensure_future(database.execute(self.insert, (1, 10)))
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.gather(self.close(database), self.close(database))
        await self.close(database)
        await asyncio.gather(adding, return_exceptions=True)
        await refused(database.fetch(self.select), RuntimeError, "a closed database")

        async def begin() -> None:
            async with database.transaction():
                pass

        await refused(begin(), RuntimeError, "a transaction in a closed database")
