"""A log-linear histogram: each power of two is cut into buckets of equal width.

A value is known to its bucket, and said to be the middle of it, so that no percentile is off by more than ``ERROR`` of
itself.  That does not depend on how the values are distributed, nor on how many there are, as a reservoir's or the last
hundred's would.  Sixteen buckets would give an error of one in 33, a little above three in a hundred; so there are 32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import frexp

#: Buckets in each power of two, and the share of itself by which a percentile may be off.
BUCKETS = 32
ERROR = 1 / (2 * BUCKETS + 1)

#: What is below the one counts as nothing, what is above the other as that: a nanosecond, and a third of a century,
#: where milliseconds are counted.
LEAST, MOST = 2.0**-20, 2.0**40
#: The bucket of what counts as nothing; below all others.
_NOTHING = -(10**6)


class Histogram:
    """Values that are counted, and not kept: at most 1922 buckets, most of the time a dozen.

    Not for several threads at once.

    Attributes:
        count: How many were recorded.
        total: Their sum.
        least: The smallest; 0 where there is none.
        most: The biggest, the same.
    """

    __slots__ = ("_buckets", "count", "least", "most", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = self.least = self.most = 0.0

    def record(self, value: float) -> None:
        """Count *value*.  What is below nothing counts as nothing; what is no number is left out."""
        # Said here, and not in a function each: this is what measuring costs.
        if value >= LEAST:
            if value > MOST:  # noqa: PLR1730 - a call of min costs a third of all this
                value = MOST
            fraction, power = frexp(value)
            bucket = power * BUCKETS + int(fraction * (2 * BUCKETS))
        elif value != value:  # noqa: PLR0124 - not a number
            return
        else:
            value, bucket = 0.0, _NOTHING
        buckets = self._buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        if not self.count:
            self.least = self.most = value
        elif value > self.most:
            self.most = value
        elif value < self.least:
            self.least = value
        self.count += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        """Count what *other* has counted, too."""
        if not other.count:
            return
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.least = min(self.least, other.least) if self.count else other.least
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total

    def percentile(self, share: float) -> float | None:
        """The smallest value that is not exceeded by *share* of them, within ``ERROR`` of itself.

        Args:
            share: Above 0, up to 1: 0.99 for the 99th percentile.
        Returns:
            None where nothing was recorded.
        Raises:
            ValueError: *share* is none.
        """
        if not 0 < share <= 1:
            raise ValueError(f"a share is above 0, and at most 1, found {share!r}")
        return self.percentiles(share)[0]

    def percentiles(self, *shares: float) -> list[float | None]:
        """The same for several, given in rising order."""
        if not self.count:
            return [None] * len(shares)
        found: list[float | None] = []
        buckets = iter(sorted(self._buckets.items()))
        bucket, passed = next(buckets)
        for share in shares:
            # Within rounding: 0.07 of 100 is the seventh, and not the eighth.
            rank = max(1, math.ceil(share * self.count * (1 - 1e-12)))
            while passed < rank:
                bucket, more = next(buckets)
                passed += more
            found.append(min(self.most, max(self.least, _middle(bucket))))
        return found

    def figures(self) -> Mapping[str, float | int | None]:
        """What is told of it: ``count mean p50 p95 p99 max``, to the microsecond where it counts milliseconds."""
        p50, p95, p99 = self.percentiles(0.5, 0.95, 0.99)
        mean = self.total / self.count if self.count else None
        most = self.most if self.count else None
        told = {"mean": mean, "p50": p50, "p95": p95, "p99": p99, "max": most}
        return {"count": self.count} | {
            name: None if each is None else round(each, 3) for name, each in told.items()
        }


def _middle(bucket: int) -> float:
    """What is off by the same share from both ends of *bucket*."""
    if bucket == _NOTHING:
        return 0.0
    # A fraction is at least one half, so its place is at least BUCKETS, and at most one less than twice that.
    power, place = divmod(bucket, BUCKETS)
    low = math.ldexp(place + BUCKETS, power - 1 - BUCKETS.bit_length())
    width = math.ldexp(1, power - 1 - BUCKETS.bit_length())
    return 2 * low * (low + width) / (2 * low + width)
