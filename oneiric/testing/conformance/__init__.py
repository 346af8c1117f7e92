"""What every kit promises, and whether one keeps it.

The rules are plain functions: ``KitConformance`` makes tests of them, ``oneiric check`` a report.
"""

from .catalogue import RULES
from .kit import Kit
from .outcome import Broken, Outcome, Rule, Skip, held
from .suite import KitConformance

__all__ = ["RULES", "Broken", "Kit", "KitConformance", "Outcome", "Rule", "Skip", "held"]
