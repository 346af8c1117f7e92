"""Signed streams: fetched, verified, registered, and kept for the next start.

Data goes one way: ``transport`` brings bytes, a verifier (a plugin) believes them or not, ``sync`` holds them against
its rules, ``decoding`` reads them, checks (plugins) agree or not, ``entries`` makes candidates of them, the registry
takes them in one step, ``files`` keeps them.  ``streams`` is what a runtime shows of it.
"""

from .streams import Remote

__all__ = ["Remote"]
