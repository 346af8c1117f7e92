"""What is registered of a stream in this process."""

from __future__ import annotations

import operator
from collections import Counter

import attrs
from oneiric_hookspecs import FileRef, Manifest, Release

from .changes import Inventory
from .decoding import Decoded


@attrs.frozen(eq=False)
class Force:
    """What is in force.

    Args:
        release: The release; None for none.
        decoded: Its body, read; None for none.
        registered: The entries that are registered; those that are not for this process are not among them.
        etag: What the source knew its head by.
        artifacts: The files that what is registered is made from.
    """

    release: Release | None = None
    decoded: Decoded | None = attrs.field(default=None, repr=False)
    registered: Inventory = attrs.field(factory=Inventory, repr=False)
    etag: str | None = None
    artifacts: tuple[FileRef, ...] = ()
    #: How many entries are registered, by domain; counted once, as every report has it.
    domains: dict[str, int] = attrs.field(init=False, factory=dict)

    @property
    def manifest(self) -> Manifest | None:
        """The manifest in force."""
        return None if self.decoded is None else self.decoded.manifest

    def __attrs_post_init__(self) -> None:
        counted = Counter(map(operator.itemgetter(0), self.registered))
        object.__setattr__(self, "domains", dict(sorted(counted.items())))
