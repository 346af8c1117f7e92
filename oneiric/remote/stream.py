"""One stream: what is in force of it, and the syncs that change that."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from oneiric_hookspecs import (
    Code,
    FetchError,
    OneiricError,
    Problem,
    RemoteError,
    Secret,
    SettingsError,
    SourceSpec,
    StreamView,
    SyncReport,
    Verifier,
    specs,
)

from oneiric.hooks import HookManager
from oneiric.registry import Registry
from oneiric.settings import Settings
from oneiric.settings.places import settings_folder, state_folder
from oneiric.settings.streams import Stream as Section

from .anchors import glance, read_anchor
from .choosing import choose_verifier
from .entries import source_of
from .files import StreamFiles
from .force import Force
from .kept import Kept
from .pacing import Pace
from .status import Condition, StreamStatus, shown_url
from .sync import Sync
from .transport import Source, choose_fetcher, open_source

log = logging.getLogger("oneiric.remote")


class Stream:
    """One stream of one runtime.  Its methods may be called from any thread; one sync goes on at a time.

    Args:
        name: Its name.
        settings: Gives the settings in force.
        hooks: Where fetchers, verifiers, checks and observers are declared.
        registry: Where what is accepted is registered.
        wall: Gives seconds since 1970; it may jump.
        draw: Gives numbers from 0 to 1, for the jitter.
        monotonic: Gives seconds that only grow, for deadlines.
        masked: Gives a text without the secrets that are known: what plugins say of a failure may hold one, and is
            written down.
    """

    def __init__(
        self,
        name: str,
        settings: Callable[[], Settings],
        hooks: HookManager,
        registry: Registry,
        *,
        wall: Callable[[], float],
        draw: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        masked: Callable[[str], str] = str,
    ) -> None:
        self.name, self.hooks, self.registry = name, hooks, registry
        self._settings = settings
        self.wall, self.draw, self.monotonic = wall, draw, monotonic
        self.masked = masked
        self.files = StreamFiles(state_folder(settings()) / "remote" / name)
        #: What is registered of it.
        self.force = Force()
        self._fingerprint = self.files.fingerprint()
        self.kept = self._loaded()
        self._lock = threading.Lock()
        self._source: tuple[SourceSpec, Source] | None = None
        self._anchor: tuple[Any, bytes] | None = None
        self._last: SyncReport | None = None
        self._last_ok: float | None = None
        self._outcomes: Counter[str] = Counter()
        self._over_budget = 0
        self._pace = Pace(self.kept.failures, self.kept.next_attempt)

    # --- what the settings say -----------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings()

    @property
    def section(self) -> Section:
        """``[remote.NAME]``."""
        return self._settings().remote[self.name]

    @property
    def order(self) -> int:
        """Its place among the streams."""
        return list(self._settings().remote).index(self.name)

    @property
    def view(self) -> StreamView:
        """What plugins may know of it."""
        return attrs.evolve(self.section.view(self.name), url=shown_url(self.section.url))

    @property
    def folder(self) -> Path:
        """What paths in the settings are relative to."""
        return settings_folder(self._settings().file)

    def anchor(self) -> bytes:
        """The keyring of the settings, as it is now.

        Raises:
            SettingsError: It cannot be read: without keys nothing is believed.
        """
        keyring, folder = self.section.keyring, self.folder
        seen = (keyring, folder, glance(keyring, folder))
        if self._anchor is None or self._anchor[0] != seen or seen[2] is None:
            self._anchor = seen, read_anchor(keyring, folder, stream=self.name, where=self.where("keyring"))
        return self._anchor[1]

    def verifier(self) -> Verifier:
        """Who decides what is believed, by its name in the settings.

        Raises:
            SettingsError: No plugin brings it, or more than one.
        """
        return choose_verifier(
            self.name,
            self.section.verifier,
            self.hooks[specs.oneiric_verifiers].answers(),
            self.where("verifier"),
        )

    def source(self, spec: SourceSpec) -> Source:
        """The source that *spec* describes: the one of the sync before, with its connections, if it is the same.

        Raises:
            SettingsError: There is no fetcher for its address.
            FetchError: The fetcher cannot open it.
        """
        if self._source is None or self._source[0] != spec:
            self.close()
            declared = self.hooks[specs.oneiric_fetchers].answers()
            self._source = spec, open_source(spec, declared, self.where("url"))
        return self._source[1]

    def close(self) -> None:
        """Let go of the source; the next sync opens it anew."""
        before, self._source = self._source, None
        if before is not None:
            before[1].close()

    def where(self, field: str) -> str | None:
        """``file:line`` of one of its settings."""
        return self._settings().where("remote", self.name, field)

    def policy(self) -> str:
        """A digest of all that decides whether a verified release is accepted; with another it is looked at anew."""
        section = attrs.asdict(self.section, recurse=False)
        for passing in ("interval", "latency_budget", "auth", "auth_header", "redirects", "ca_file", "url"):
            del section[passing]
        judges = sorted(
            (record.name, record.version or "") for record in self.hooks.plugins if record.state == "on"
        )
        return hashlib.sha256(json.dumps([section, judges], default=str).encode()).hexdigest()

    def check(self) -> None:
        """Whether it can be synced at all: before that is tried.

        Raises:
            SettingsError: It has no keys that could verify anything; its verifier, or who fetches it, is not there.
        """
        choose_fetcher(
            self.name, self.section.url, self.hooks[specs.oneiric_fetchers].answers(), self.where("url")
        )
        verifier, anchor = self.verifier(), self.anchor()
        if verifier.check is None:
            return
        try:
            verifier.check(self.name, anchor, self.now())
        except OneiricError as error:
            path = f"remote.{self.name}.keyring"
            raise SettingsError([Problem(path, error.message, self.where("keyring"), error.hint)]) from error

    # --- syncing ---------------------------------------------------------------------------------------------------

    def sync(self, credential: Secret | None = None, *, dry_run: bool = False) -> SyncReport:
        """Ask the source, and accept or refuse what it has.  Never raises: what went wrong is in the report.

        Args:
            credential: What is sent along.
            dry_run: Whether nothing is registered or kept.
        """
        with self._lock:
            began = self.monotonic()
            sync = Sync(self, credential, dry_run=dry_run)
            try:
                report = sync.run()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin's CancelledError or SystemExit is not ours to end by
                report = self._report(error, sync)
            if not dry_run:
                self._retire()
            report = attrs.evolve(report, duration_ms=(self.monotonic() - began) * 1000)
            if not dry_run:
                self._settle(report)
        if not dry_run:
            self._tell(report)
        return report

    def start_offline(self) -> SyncReport | None:
        """Verify again and register what was accepted last, as the process starts.  Never raises.

        Returns:
            What came of it; None where nothing was accepted yet.
        """
        with self._lock:
            if self.kept.active is None:
                return None
            began = self.monotonic()
            sync = Sync(self, None, offline=True)
            try:
                report = sync.run()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin's CancelledError or SystemExit is not ours to end by
                report = self._report(error, sync)
            self._retire()
            report = attrs.evolve(report, duration_ms=(self.monotonic() - began) * 1000)
            self._last = report
        if report.code is not None and not report.stale:
            log.warning(
                "stream %s: what was accepted last is not in force: %s: %s",
                self.name,
                report.code,
                report.detail,
            )
        return report

    def _retire(self) -> None:
        """What an expired release brought is withdrawn, where the settings say so; the next good one brings it back."""
        release = self.force.release
        expired = release is not None and release.expires <= self.now()
        if expired and self.section.on_expired == "deactivate":
            self.registry.withdraw(source_of(self.name).name)
            self.force = Force()
            self.warn("what is in force has expired, and is withdrawn: on_expired is deactivate")

    def failed(self, error: Exception) -> SyncReport:
        """Count a sync that could not even begin; gives its report.  Never raises."""
        with self._lock:
            report = self._report(error, None)
            self._settle(report)
        self._tell(report)
        return report

    def wait(self, interval: float | None = None) -> float:
        """Seconds until the next sync is due."""
        interval = interval or self.section.interval
        wait = self._pace.wait(self.wall(), interval)
        return wait if self._pace.failures else min(wait, interval * 1.1)

    def _report(self, error: BaseException, sync: Sync | None) -> SyncReport:
        """What a sync that was not finished came to."""
        said = error.message if isinstance(error, OneiricError) else f"{type(error).__name__}: {error}"
        hint = getattr(error, "hint", None)
        code: Code = "plugin-error"
        if isinstance(error, RemoteError):
            code = error.code
        elif isinstance(error, SettingsError):
            code = "policy"
        elif isinstance(error, (OSError, OneiricError)):
            code = "io"
        if not isinstance(error, OneiricError):
            log.debug("stream %s", self.name, exc_info=error)
        report = SyncReport(
            self.name,
            "unreachable" if isinstance(error, FetchError) or code == "io" else "rejected",
            code=code,
            line=getattr(error, "line", None),
            detail=self.masked(said + (f"; {hint}" if hint else "")),
            retry_after=getattr(error, "retry_after", None),
        )
        return self.in_force(report) if sync is None else sync.told(report)

    def in_force(self, report: SyncReport, **more: Any) -> SyncReport:
        """*report* with what is in force now, and *more* of its fields."""
        release = self.kept.release("active") if self.force.manifest is not None else None
        return attrs.evolve(
            report,
            epoch=None if release is None else release.epoch,
            version=None if release is None else release.version,
            domains=self.force.domains,
            stale=release is not None and release.expires <= self.now(),
            **more,
        )

    def now(self) -> float:
        """The time, never before the newest release that was believed was issued."""
        return max(self.wall(), self.kept.clock_floor)

    def _settle(self, report: SyncReport) -> None:
        """Count *report*, and write down when the next try is, if that is not what is written."""
        self._last = report
        self._outcomes[report.code or report.outcome] += 1
        section, now = self.section, self.wall()
        if section.latency_budget is not None and report.duration_ms > section.latency_budget:
            self._over_budget += 1
            log.warning(
                "stream %s: a sync took %.0f ms, and its latency_budget is %d",
                self.name,
                report.duration_ms,
                section.latency_budget,
            )
        went_well = report.outcome in ("applied", "unchanged")
        before = self._pace
        if went_well:
            self._last_ok = now
            self._pace = before.succeeded(now, section.interval, self.draw)
        else:
            self._pace = before.failed(now, section.interval, self.draw, report.retry_after)
        if not went_well or before.failures:
            pace = self._pace
            try:
                self.update(
                    lambda kept: attrs.evolve(kept, failures=pace.failures, next_attempt=pace.next_attempt)
                )
            except (RemoteError, OSError) as error:
                log.warning("stream %s: when it is tried again cannot be kept: %s", self.name, error)

    def _tell(self, report: SyncReport) -> None:
        self.hooks[specs.oneiric_synced](self.view, report)

    def warn(self, sentence: str) -> None:
        """Say what is passed over."""
        log.warning("stream %s: %s", self.name, sentence)

    def update(self, change: Callable[[Kept], Kept]) -> None:
        """Change what is kept, here and on the disk.  Raises: RemoteError: it cannot be written."""
        self.kept = self.files.update(change)

    def reloaded(self) -> Kept:
        """What is kept now: another process may have changed it, and that is seen by one look at the file."""
        fingerprint = self.files.fingerprint()
        if fingerprint != self._fingerprint:
            self.kept, self._fingerprint = self._loaded(), fingerprint
        return self.kept

    def _loaded(self) -> Kept:
        try:
            kept = self.files.load()
        except (RemoteError, OSError) as error:
            log.warning("stream %s: %s", self.name, error)
            return Kept()
        if kept.damaged:
            log.warning(
                "stream %s: %s: damaged, and taken as not there until the next sync", self.name, kept.damaged
            )
        return kept

    # --- status ----------------------------------------------------------------------------------------------------

    def status(self, *, running: bool = False) -> StreamStatus:
        """What is known of it."""
        kept, section = self.kept, self.section
        release = kept.release("active")
        condition: Condition = "empty"
        if release is not None:
            condition = "stale" if release.expires <= self.now() else "active"
        failed = {
            code: count for code, count in self._outcomes.items() if code not in ("applied", "unchanged")
        }
        return StreamStatus(
            self.name,
            shown_url(section.url),
            section.verifier,
            condition,
            epoch=None if release is None else release.epoch,
            version=None if release is None else release.version,
            floor=kept.floor,
            issued=None if release is None else release.issued,
            expires=None if release is None else release.expires,
            applied_at=None if kept.active is None else kept.active.applied_at,
            domains=self.force.domains,
            circuit=self._pace.circuit(self.wall()),
            failures=self._pace.failures,
            next_attempt=self._pace.next_attempt,
            last_ok=self._last_ok,
            last=self._last,
            refused=_refused(kept),
            attempts=sum(self._outcomes.values()),
            successes=self._outcomes["applied"] + self._outcomes["unchanged"],
            failed=failed,
            budget_ms=section.latency_budget,
            over_budget=self._over_budget,
            running=running,
        )


def _refused(kept: Kept) -> Mapping[str, Any] | None:
    verdict = kept.verdict
    if verdict is None:
        return None
    release = verdict.release
    return {
        "epoch": release.epoch,
        "version": release.version,
        "code": verdict.code,
        "line": verdict.line,
        "detail": verdict.detail,
    }
