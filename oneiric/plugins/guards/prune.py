"""A release that takes away more than half, or everything, says so; else it is taken for a slip.  Always on."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Changes, EntryObjection, Manifest, StreamView, hookimpl


@hookimpl
def oneiric_check_manifest(
    stream: StreamView, manifest: Manifest, changes: Changes
) -> Iterable[EntryObjection]:
    if manifest.entries and not changes.removed:
        return
    # Another version of a provider takes its place; one that is switched off takes nobody's.
    left = {identity[:3] for identity, entry in manifest.entries.items() if entry.enabled}
    vanished = {identity[:3] for identity in changes.removed} - left
    if left and 2 * len(vanished) <= changes.before:
        return
    if len(vanished) > changes.allow_removals or (not left and not changes.allow_removals):
        what = f"takes away {len(vanished)} of {changes.before} entries" if vanished else "has no entries"
        yield EntryObjection(
            f"the release {what}, and allows {changes.allow_removals} to be removed",
            remedy=f"allow_removals = {max(len(vanished), 1)} in the release",
            code="prune",
        )
