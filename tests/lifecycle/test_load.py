"""Swaps under load, on a real loop: no call fails, and nothing is used after it was closed."""

import asyncio

from oneiric_hookspecs import Key, Need

from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
CLIENTS, SWAPS = 100, 200


async def client(world, key, stop, calls):
    """Calls without pause until told to stop."""
    while not stop.is_set():
        async with world.runtime.use(*key) as product:
            product.use()
            await asyncio.sleep(0)
            product.use()
        calls.append(product.provider)


def swaps_under_load(swap, key, add):
    """Run it; how many calls there were, and what was made, by key."""

    async def main():
        world = World(each_step=False)
        async with world:
            add(world)
            await world.use(key)
            stop, calls = asyncio.Event(), []
            clients = [asyncio.create_task(client(world, key, stop, calls)) for _ in range(CLIENTS)]
            for number in range(SWAPS):
                await swap(world, number)
                await asyncio.sleep(0)
            stop.set()
            # A call that failed is raised here.
            await asyncio.gather(*clients)
        return world, calls

    world, calls = asyncio.run(main())
    assert world.closed.clean
    return world, calls


def test_two_hundred_swaps_under_a_hundred_clients():
    """200 swaps between two providers: every call of 100 clients succeeds; what was made is closed, once each."""

    def add(world):
        world.add(A, "p0")
        world.add(A, "p1")

    async def swap(world, number):
        await world.swap(A, f"p{number % 2}")

    world, calls = swaps_under_load(swap, A, add)

    assert len(world.shop.made) == SWAPS + 1
    assert [product.closes for product in world.shop.made] == [1] * (SWAPS + 1)
    assert set(calls) == {"p0", "p1"}
    assert len(calls) > SWAPS


def test_transactions_under_load():
    """The same with two keys changed together, one built from the other."""

    def add(world):
        for name in ("p0", "p1"):
            world.add(A, name)
            world.add(B, name, needs=[Need(A)])

    async def swap(world, number):
        async with world.runtime.transaction() as changes:
            changes.swap(*A, f"p{number % 2}")
            changes.swap(*B, f"p{number % 2}")

    world, calls = swaps_under_load(swap, B, add)

    assert [product.closes for product in world.shop.made] == [1] * len(world.shop.made)
    assert set(calls) == {"p0", "p1"}


def test_dependencies_swapped_under_load():
    """The same where what the clients use is built anew because what it was built from is swapped."""

    def add(world):
        world.add(A, "p0")
        world.add(A, "p1")
        world.add(B, "it", needs=[Need(A)])

    async def swap(world, number):
        await world.swap(A, f"p{number % 2}")

    world, _ = swaps_under_load(swap, B, add)

    assert [product.closes for product in world.shop.made] == [1] * len(world.shop.made)
