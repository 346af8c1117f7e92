"""Patterns of topics."""

from __future__ import annotations


def matches(pattern: str, topic: str) -> bool:
    """Whether *pattern* describes *topic*: ``*`` stands for one segment, ``**`` for any number, none too."""
    if "*" not in pattern:
        return pattern == topic
    wanted = pattern.split(".")
    # Where in the pattern one can be; so the time grows with the product of the lengths, and not faster.
    places = _without_deep(wanted, {0})
    for segment in topic.split("."):
        places = _without_deep(
            wanted,
            {
                place if wanted[place] == "**" else place + 1
                for place in places
                if place < len(wanted) and wanted[place] in ("*", "**", segment)
            },
        )
    return len(wanted) in places


def _without_deep(wanted: list[str], places: set[int]) -> set[int]:
    """*places*, and those behind each ``**`` that stands for nothing."""
    more = set(places)
    for place in sorted(places):
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            more.add(place)
    return more
