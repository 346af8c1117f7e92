"""What is bound is watched: asked for its health on schedule, and started again where it fails.

A process that keeps going has it; see ``orchestrate``.  Everything here belongs on the runtime's loop.
"""

from .supervision import Supervision
from .values import Supervised

__all__ = ["Supervised", "Supervision"]
