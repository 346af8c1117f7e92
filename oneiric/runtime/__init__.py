"""What an application holds."""

from .blocking import Blocking
from .core import Runtime
from .plan import Planned
from .status import GenerationStatus, SlotStatus, Status
from .work import Task

__all__ = ["Blocking", "GenerationStatus", "Planned", "Runtime", "SlotStatus", "Status", "Task"]
