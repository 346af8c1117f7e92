"""``oneiric remote-sync`` and ``oneiric remote-status``."""
