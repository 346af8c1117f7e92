"""What every executor promises, as tests for whoever writes one; any test runner finds them.

::

    class TestMyExecutor(ExecutorConformance):
        name = "mine"

        def application(self, folder):
            return assemble({"app": {"plugins": ["mine"], "state_dir": str(folder)}})

Each test has a folder of its own; two applications of one folder are two processes that share what is kept.  What an
executor is not capable of is not asked of it.  A test takes nothing but ``self``, runs a loop of its own, and closes
what it has opened.
"""

from .keeping import Keeping
from .keys import Keys
from .resuming import Resuming
from .running import Running

__all__ = ["ExecutorConformance"]


class ExecutorConformance(Running, Keys, Keeping, Resuming):
    """The promises of ``Executing``; override ``application``.

    Attributes:
        name: The executor's.
    """
