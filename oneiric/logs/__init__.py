"""Logging of a process that is the framework's own: where records go, and what stands beside each.

Nobody but ``oneiric orchestrate`` configures it.  An application that embeds a runtime has a logging of its own, which
is never touched: the framework logs to loggers below ``oneiric``, and leaves the rest to whoever runs the process.

``facts``     what is known of a record: the operation it belongs to, the node, the trace
``lines``     a record as a line: for people, or JSON
``sinks``     streams and files; none of them ever raises into who logs
``posting``   batches over http, sent by a thread
``configuring``  puts the sinks in their place, and takes them away again
"""

from .configuring import Logs, configured
from .facts import Context
from .lines import JsonLines, TextLines

__all__ = ["Context", "JsonLines", "Logs", "TextLines", "configured"]
