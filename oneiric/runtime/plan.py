"""What a change would do, before it is made."""

from __future__ import annotations

import attrs
from oneiric_hookspecs import Decision, Key


@attrs.frozen
class Planned:
    """One thing that would be different.

    Args:
        key: Where.
        before: The provider that wins or serves now; None where none does.
        after: The provider that would; None where none would.
        because: Why, in a sentence.
        kind: ``winner`` (another one would win), ``settings`` (the same with other settings).
        decision: The decision as it would be.
    """

    key: Key
    before: str | None
    after: str | None
    because: str
    kind: str = "winner"
    decision: Decision | None = attrs.field(default=None, eq=False, repr=False)
