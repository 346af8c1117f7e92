"""An executor of a few lines, for tests: all it knows is in a drawer, which is gone with the process."""

import asyncio
import itertools
import time

import attrs
from oneiric_hookspecs import Executor, NoSuchRun, Run, RunError, RunTimeout, StepRun, hookimpl


class Steps:
    """Keeps the steps of one run."""

    keeps = True

    def __init__(self, run):
        self.run, self.kept = run, {}
        self.finished = {}

    async def step(self, name, call):
        try:
            result = await call()
        except Exception as error:
            self.kept[name] = StepRun(name, "failed", error=repr(error))
            raise
        self.kept[name] = StepRun(name, "succeeded", result)
        return result


class Drawer:
    """Runs each job in a task of its own."""

    def __init__(self, host):
        self.host, self.drawer, self.numbers, self.closed = host, {}, itertools.count(1), False

    async def submit(self, job, body):
        if self.closed:
            raise RunError("the drawer is closed")
        if missing := job.needs - {"cancel"}:
            raise RunError(f"the drawer cannot {', '.join(sorted(missing))}")
        self.plain(job.payload)
        run = Run(f"drawer-{next(self.numbers)}", job.kind, job.name, "running", payload=job.payload)
        run = attrs.evolve(run, version=job.version, submitted=time.time(), started=time.time())
        steps = Steps(run.id)
        self.drawer[run.id] = [run, steps, None]
        self.drawer[run.id][2] = asyncio.create_task(self.go(run, job, body, steps))
        return run.id

    async def go(self, run, job, body, steps):
        asked = asyncio.current_task()
        try:
            async with asyncio.timeout(job.timeout) as scope:
                result = await body(steps)
            self.plain(result)
            facts = {"state": "succeeded", "result": result}
        except asyncio.CancelledError:
            state = "lost" if self.closed else "cancelled" if asked.cancelling() else "failed"
            facts = {"state": state, "error": "it cancelled itself" if state == "failed" else None}
        except Exception as error:
            cause = RunTimeout(f"{job.name} took longer than {job.timeout} s") if scope.expired() else error
            facts = {"state": "failed", "error": repr(cause), "cause": cause}
        self.drawer[run.id][0] = attrs.evolve(run, ended=time.time(), **facts)

    def plain(self, value):
        if isinstance(value, (set, float)) or (isinstance(value, list) and any(map(self.plain, value))):
            raise RunError(f"a drawer does not take {value!r}")

    async def wait(self, run):
        if run not in self.drawer:
            raise NoSuchRun(f"there is no run {run}")
        await asyncio.wait({self.drawer[run][2]})
        if self.drawer[run][2].cancelled():  # before its first step
            self.drawer[run][0] = attrs.evolve(self.drawer[run][0], state="cancelled", ended=time.time())
        return self.drawer[run][0]

    async def get(self, run):
        return self.drawer[run][0] if run in self.drawer else None

    async def runs(self, *, kind="", name="", states=(), limit=100):
        known = [run for run, _, _ in reversed(self.drawer.values())]
        found = [run for run in known if kind in ("", run.kind) and name in ("", run.name)]
        return [run for run in found if not states or run.state in states][:limit]

    async def steps(self, run):
        return list(self.drawer[run][1].kept.values()) if run in self.drawer else []

    async def cancel(self, run):
        return run in self.drawer and self.drawer[run][2].cancel()

    async def resume(self, run, job, body):
        raise RunError("a drawer resumes nothing")

    async def close(self):
        self.closed = True
        tasks = [task for _, _, task in self.drawer.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@hookimpl
def oneiric_executors():
    yield Executor("drawer", {"cancel"}, lambda host, folder: Drawer(host), "in a drawer")
