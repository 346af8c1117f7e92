"""Threads: what may be done from any of them, and what belongs on the loop."""

import asyncio
import random
import sys
import threading

import pytest
from oneiric_hookspecs import Key, NotServing, OneiricError, RuntimeClosing, WrongThread

STORE, LEDGER = ("adapter", "store"), ("adapter", "ledger")


@pytest.fixture
def hasty():
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def in_thread(call):
    """What *call* returns, or the exception it raises, in a thread of its own."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def work():
        try:
            answer = call()
        except BaseException as error:
            answer = error
        loop.call_soon_threadsafe(done.set_result, answer)

    threading.Thread(target=work).start()
    return await done


async def with_threads(count, body, change):
    """Run *body* over and over in *count* threads while *change* runs; whatever they raised."""
    over, errors, rounds = threading.Event(), [], [0] * count
    started = threading.Barrier(count + 1)

    def work(number):
        started.wait()
        try:
            while not over.is_set():
                body()
                rounds[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(started.wait)
    try:
        await change()
    finally:
        over.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    return errors, rounds


def test_threads_lease_while_the_loop_swaps(shop, hasty):
    """Eight threads, many swaps: nobody gets what is closed, and nothing is closed while anybody has it."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a"), shop.candidate("store", "b")) as runtime:
            await runtime.swap(*STORE, "a")
            handle = runtime.handle(*STORE)

            def lease():
                with handle() as thing:
                    if thing.closed:
                        raise AssertionError("handed out closed")
                    thing.use()
                    if thing.closed:
                        raise AssertionError("closed while leased")

            async def swap():
                reports = [
                    await runtime.swap(*STORE, reload=True, provider="ab"[turn % 2]) for turn in range(150)
                ]
                for report in reports:
                    end = await report.retired()
                    assert end is None or (end.ending, end.forced) == ("closed", 0)

            errors, rounds = await with_threads(8, lease, swap)
            slot = runtime.status().of(*STORE)
            return errors, min(rounds) > 0, slot.bound.leases, slot.others, slot.swaps

    assert asyncio.run(main()) == ([], True, 0, (), 150)
    assert len(shop.made) == 151
    assert shop.faults() == []


def test_threads_see_a_transaction_whole(shop, hasty):
    """Whoever has seen the new one of one key never sees the old one of another: not even between two instructions."""

    async def main():
        names = ("store", "ledger")
        candidates = [shop.candidate(name, provider) for name in names for provider in ("p0", "p1")]
        async with shop.runtime(*candidates) as runtime:
            for name in names:
                await runtime.swap("adapter", name, "p0")
            first, second = runtime.handle(*STORE), runtime.handle(*LEDGER)
            now = [0]  # how many transactions have been committed, at least

            def read():
                for one, other in ((first, second), (second, first)):
                    with one() as thing:
                        seen = generation(thing)
                    with other() as thing:
                        later = generation(thing)
                        if thing.closed:
                            raise AssertionError("closed while leased")
                    if later < seen:
                        raise AssertionError(f"after {seen} came {later}")

            # The number of a thing is its place among the things of its key, so of both keys the same.
            numbers = {}

            def generation(thing):
                return numbers[id(thing)]

            made = dict.fromkeys(names, 0)
            original = shop.made

            class Numbering(list):
                def append(self, thing):
                    numbers[id(thing)] = made[thing.key.name]
                    made[thing.key.name] += 1
                    super().append(thing)

            shop.made = Numbering(original)
            for thing in shop.made:
                numbers[id(thing)] = 0
                made[thing.key.name] = 1

            async def change():
                for turn in range(1, 60):
                    async with runtime.transaction() as transaction:
                        for name in names:
                            transaction.swap("adapter", name, f"p{turn % 2}")
                    now[0] = turn

            errors, rounds = await with_threads(6, read, change)
            return errors, min(rounds) > 0

    assert asyncio.run(main()) == ([], True)
    assert shop.faults() == []


def test_registering_from_threads_while_the_loop_swaps(shop, hasty):
    """Twenty threads register and withdraw, swaps follow by themselves, and in the end what wins is what serves."""

    async def main():
        settings = {
            "lifecycle": {"auto_swaps_per_minute": 1_000_000, "keys": {"adapter:store": {"auto_swap": "on"}}}
        }
        base = shop.candidate("store", "base", priority=-1)
        async with shop.runtime(base, settings=settings) as runtime:
            async with runtime.use(*STORE):
                pass
            numbers = iter(range(10**9))
            lock = threading.Lock()

            def change():
                with lock:
                    number = next(numbers)
                source = f"source{number % 20}"
                draw = random.Random(number)
                candidate = shop.candidate("store", f"p{number % 20}", priority=draw.randrange(50))
                runtime.register(candidate, source=source)
                winner = runtime.resolve(*STORE)
                assert winner.priority is not None
                assert runtime.explain(*STORE).winner is not None
                assert runtime.what_if(withdraw=[source]).resolve(*STORE) is not None
                runtime.plan()
                status = runtime.status()
                assert status.of(*STORE).bound is not None
                with runtime.lease(*STORE) as thing:
                    assert not thing.closed
                    thing.use()
                if draw.random() < 0.5:
                    runtime.withdraw(source)

            async def until_enough():
                while next(numbers) < 400:
                    await asyncio.sleep(0.01)

            errors, rounds = await with_threads(20, change, until_enough)
            for _ in range(1000):
                await asyncio.sleep(0)
                if not runtime.status().operations:
                    break
                await asyncio.sleep(0.01)
            slot = runtime.status().of(*STORE)
            return (
                errors,
                sum(rounds) > 0,
                slot.bound.provider == runtime.resolve(*STORE).provider,
                slot.pending,
            )

    assert asyncio.run(main()) == ([], True, True, "")
    assert shop.faults() == []


def test_what_belongs_on_the_loop_says_so_in_other_threads(shop):
    """Each method that is not for any thread names itself, and the way that is open instead."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a")) as runtime:
            async with runtime.use(*STORE):
                pass
            lease = runtime.lease(*STORE)

            async def nothing():
                return None

            class Plugin:
                pass

            calls = {
                "swap": lambda: asyncio.run(runtime.swap(*STORE)),
                "rollback": lambda: asyncio.run(runtime.rollback(*STORE)),
                "transaction": runtime.transaction,
                "apply": lambda: asyncio.run(runtime.apply({})),
                "health": lambda: asyncio.run(runtime.health(*STORE)),
                "spawn": lambda: runtime.spawn(nothing(), name="nothing"),
                "tasks": runtime.tasks,
                "pin": lambda: runtime.pin(*STORE, "a"),
                "unpin": lambda: runtime.unpin(*STORE),
                "plug": lambda: runtime.plug(Plugin()),
                "unplug": lambda: runtime.unplug("Declares"),
                "close": lambda: asyncio.run(runtime.close()),
                "use": lambda: asyncio.run(runtime.use(*STORE).__aenter__()),
                "until_retiring": lambda: asyncio.run(lease.until_retiring()),
            }
            told = {}
            with lease:
                for name, call in calls.items():
                    error = await in_thread(call)
                    told[name] = (
                        type(error),
                        name in str(error).splitlines()[0],
                        len(str(error).splitlines()),
                    )
            slot = runtime.status().of(*STORE)
            return told, slot.bound.number, runtime.status().state, runtime.hooks.plugin("Declares").state

    told, number, state, plugin = asyncio.run(main())
    assert told == dict.fromkeys(told, (WrongThread, True, 2))
    assert (number, state, plugin) == (1, "running", "on")
    assert shop.faults() == []


def test_an_empty_key_is_not_brought_up_from_another_thread(shop):
    """``use`` in another thread's loop is refused before it touches anything."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a")) as runtime:

            async def use():
                async with runtime.use(*STORE) as thing:
                    return thing

            error = await in_thread(lambda: asyncio.run(use()))
            return type(error), runtime.status().of(*STORE).phase

    assert asyncio.run(main()) == (WrongThread, "empty")
    assert shop.made == []


def test_another_loop_in_the_same_thread_is_refused_too(shop):
    """What counts is the loop, not only the thread it runs in."""
    runtime = shop.runtime(shop.candidate("store", "a"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(runtime.start())

    async def elsewhere():
        refused = []
        for call in (lambda: runtime.swap(*STORE), lambda: runtime.use(*STORE).__aenter__(), runtime.close):
            try:
                await call()
            except WrongThread as error:
                refused.append(str(error).splitlines()[0])
        return refused

    refused = asyncio.run(elsewhere())
    loop.run_until_complete(runtime.close())
    loop.close()
    assert refused == [
        "runtime.swap belongs on the loop on which the runtime was entered",
        "use belongs on the loop on which the runtime was entered",
        "runtime.close belongs on the loop on which the runtime was entered",
    ]
    assert shop.made == []


def test_a_lease_needs_no_running_loop(shop):
    """Between two runs of its loop, the loop's own thread may lease."""
    runtime = shop.runtime(shop.candidate("store", "a"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(runtime.start())
    loop.run_until_complete(runtime.swap(*STORE))
    with runtime.lease(*STORE) as thing:
        seen = thing.use()
        held = runtime.status().of(*STORE).bound.leases
    left = runtime.status().of(*STORE).bound.leases
    loop.run_until_complete(runtime.close())
    loop.close()
    assert (seen, held, left) == ("a", 1, 0)
    assert shop.faults() == []


def test_closing_again_from_anywhere_gives_the_same_report(shop):
    """When it is closed there is nothing left that belongs on a loop."""
    runtime = shop.runtime(shop.candidate("store", "a"))

    async def main():
        async with runtime:
            await runtime.swap(*STORE)
        return await runtime.close()

    report = asyncio.run(main())
    assert asyncio.run(runtime.close()) is report
    assert report.clean


def test_what_is_for_any_thread_works_in_any_thread(shop):
    """``register withdraw resolve explain what_if plan lease handle status``: none of them looks at where it is."""

    async def main():
        async with shop.runtime(shop.candidate("store", "a")) as runtime:
            async with runtime.use(*STORE):
                pass
            better = shop.candidate("store", "b", priority=5)

            def all_of_them():
                told = [runtime.register(better).keys == {Key(*STORE)}, runtime.resolve(*STORE).provider]
                told += [
                    runtime.explain(*STORE).winner.provider,
                    runtime.what_if(pins={}).resolve(*STORE).provider,
                ]
                told += [(each.key, each.before, each.after) for each in runtime.plan()]
                told += [runtime.status().of(*STORE).bound.provider]
                with runtime.lease(*STORE) as one, runtime.handle(*STORE)() as other:
                    told += [one is other, one.use()]
                runtime.withdraw(key=Key(*STORE), provider="b")
                return [*told, runtime.resolve(*STORE).provider]

            return await in_thread(all_of_them)

    assert asyncio.run(main()) == [True, "b", "b", "b", (Key(*STORE), "a", "b"), "a", True, "a", "a"]
    assert shop.faults() == []


def test_status_is_read_from_threads_while_everything_changes(shop, hasty):
    """Reading what runs never meets a container that changes its size."""

    async def main():
        names = [f"n{number}" for number in range(40)]
        candidates = [shop.candidate(name, "a", sync=name.endswith("3")) for name in names]
        async with shop.runtime(*candidates) as runtime:

            def look():
                status = runtime.status()
                assert status.state == "running"
                assert [slot.key for slot in status.slots] == sorted(slot.key for slot in status.slots)

            async def change():
                for _ in range(6):
                    await asyncio.gather(*(runtime.swap("adapter", name, reload=True) for name in names))
                    spawned = [runtime.spawn(asyncio.sleep(0), name=name) for name in names]
                    await asyncio.gather(*(task.wait() for task in spawned))
                    for name in names:
                        with pytest.raises(OneiricError):
                            await runtime.swap("adapter", name, "nobody")

            errors, rounds = await with_threads(4, look, change)
            return errors, min(rounds) > 0

    assert asyncio.run(main()) == ([], True)
    assert shop.faults() == []


def test_threads_that_lease_while_the_runtime_closes_are_refused(shop, hasty):
    """Until the end they are served, then they are told; nobody gets what is closed."""

    async def main():
        runtime = shop.runtime(shop.candidate("store", "a"))
        async with runtime:
            await runtime.swap(*STORE)
            handle = runtime.handle(*STORE)
            told = set()

            def lease():
                try:
                    with handle() as thing:
                        if thing.closed:
                            raise AssertionError("handed out closed")
                        thing.use()
                        if thing.closed:
                            raise AssertionError("closed while leased")
                except NotServing as error:
                    told.add(str(error))

            async def close():
                await runtime.close()
                while not told:
                    await asyncio.sleep(0)

            errors, _ = await with_threads(8, lease, close)
            return errors, told, (await runtime.close()).clean

    assert asyncio.run(main()) == ([], {"adapter:store is closed: the runtime is closing"}, True)
    assert shop.faults() == []


def test_after_the_end_everything_can_still_be_looked_at(shop):
    """What was registered can be explained, planned and changed when the runtime is closed; only nothing runs."""
    runtime = shop.runtime(shop.candidate("store", "a"), shop.candidate("ledger", "x"))

    async def main():
        async with runtime:
            await runtime.swap(*STORE)

    asyncio.run(main())
    assert runtime.explain(*LEDGER).winner.provider == "x"
    runtime.register(shop.candidate("store", "b", priority=9))
    runtime.unpin(*STORE)
    assert runtime.resolve(*STORE).provider == "b"
    assert (runtime.status().state, runtime.status().of(*STORE).phase) == ("closed", "closed")
    with pytest.raises(RuntimeClosing, match="the runtime is closed"):
        asyncio.run(runtime.swap(*STORE))
    assert shop.faults() == []


# --- every interleaving -----------------------------------------------------------------------------------------------


class Between:
    """Does something between two instructions of a function: the *number*-th and the one before.

    Python's own tracing makes every moment at which another thread could run a moment at which something does.
    """

    def __init__(self, codes, number, act):
        self.codes, self.number, self.act = codes, number, act
        self.seen = 0
        self.acted = False

    def __enter__(self):
        self.before = sys.gettrace()
        # From 3.12 on instructions are only reported if some frame asked for them before tracing began.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self.called)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def called(self, frame, event, argument):
        if frame.f_code not in self.codes:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.stepped

    def stepped(self, frame, event, argument):
        if event == "opcode":
            self.seen += 1
            if self.seen == self.number:
                self.acted = True
                sys.settrace(None)
                self.act()
                sys._getframe().f_trace_opcodes = True
                sys.settrace(self.called)
        return self.stepped


@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="3.13 tells a trace function of no instructions here; 3.11 and 3.12 do",
)
@pytest.mark.parametrize("kind", ["lease", "traced lease"])
def test_a_swap_between_any_two_instructions_of_a_lease(shop, kind):
    """A thread is stopped inside entering, and inside giving back, while the loop swaps and retires: it gets what is open."""
    from oneiric.activation import Lease, TracedLease

    codes = {Lease.__enter__.__code__, Lease.__exit__.__code__}
    if kind == "traced lease":
        codes |= {TracedLease.__enter__.__code__, TracedLease.__exit__.__code__}

    async def main():
        asyncio.get_running_loop().set_debug(kind == "traced lease")
        async with shop.runtime(shop.candidate("store", "a"), shop.candidate("store", "b")) as runtime:
            await runtime.swap(*STORE, "a")
            handle, blocking = runtime.handle(*STORE), runtime.blocking

            async def swap_and_let_it_end():
                await runtime.swap(*STORE, reload=True)
                for _ in range(20):
                    await asyncio.sleep(0)

            def lease(number):
                with (
                    Between(codes, number, lambda: blocking.run(swap_and_let_it_end())) as between,
                    handle() as thing,
                ):
                    closed = thing.closed
                    thing.use()
                return between.acted, closed

            number, told = 0, []
            while not told or told[-1][0]:
                number += 1
                told.append(await in_thread(lambda number=number: lease(number)))
                await swap_and_let_it_end()
            slot = runtime.status().of(*STORE)
            return number, {closed for _, closed in told}, slot.bound.leases, slot.others

    number, closed, leases, others = asyncio.run(main())
    assert number > 40
    assert (closed, leases, others) == ({0}, 0, ())
    assert shop.faults() == []


@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="3.13 tells a trace function of no instructions here; 3.11 and 3.12 do",
)
def test_a_reader_between_any_two_instructions_of_a_commit(shop, run):
    """Whoever reads two keys while they change together sees both old or both new, and never the old one again."""
    from oneiric.swap.swapper import Swapper

    async def main():
        candidates = [shop.candidate(name, each) for name in ("store", "ledger") for each in ("old", "new")]
        async with shop.runtime(*candidates) as runtime:
            handles = runtime.handle(*STORE), runtime.handle(*LEDGER)

            async def change(provider):
                async with runtime.transaction() as changes:
                    changes.swap(*STORE, provider)
                    changes.swap(*LEDGER, provider)

            number, acted, seen = 0, True, set()
            while acted:
                number += 1
                await change("old")
                views = []

                def read():
                    for one, other in (handles, handles[::-1]):
                        with one() as first:
                            view = [first.provider, first.closed]
                        with other() as second:
                            views.append((*view, second.provider, second.closed))

                between = Between({Swapper._switch.__code__}, number, read)
                with between:
                    await change("new")
                acted = between.acted
                seen.add(tuple(views))
            return number, seen

    number, seen = run(main())
    old, new = ("old", 0, "old", 0), ("new", 0, "new", 0)
    assert number > 40
    assert seen == {(old, old), (new, new), ()}
    assert shop.faults() == []
