"""Watching files: whether they are others than before, and have come to rest.

How a file was changed does not matter: in its place, by a rename over it, by another link, piece by piece.  Nothing is
told to anybody; who watches asks.

``fingerprints``  what is seen of a file without reading it
``settling``      a difference counts when it has come to rest
``waking``        looks earlier than the clock says, where the package ``watchfiles`` is installed
"""

from .fingerprints import Content, Fingerprint, content, digest_of, fingerprint, is_endless
from .settling import LONGEST, STEP, FileWatch
from .waking import Waker

__all__ = [
    "LONGEST",
    "STEP",
    "Content",
    "FileWatch",
    "Fingerprint",
    "Waker",
    "content",
    "digest_of",
    "fingerprint",
    "is_endless",
]
