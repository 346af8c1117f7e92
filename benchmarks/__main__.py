"""What is fast enough, as ratios in one run.

``python benchmarks [--short] [--json] [ROW ...]`` prints the table; the exit status is 1 when a row misses its limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence

import applying
import crowds
import domains
import hooking
import keeping
import lookups
import operating
import polling
import registering
import remote
import starting
import swapping
import using
from harness import LONG, SHORT, Pace
from lines import Result, Row, Skip
from table import as_json, rendered

ROWS: dict[str, Row] = {
    row.name: row
    for module in (
        lookups,
        registering,
        hooking,
        using,
        swapping,
        crowds,
        domains,
        keeping,
        operating,
        polling,
        remote,
        applying,
        starting,
    )
    for row in module.ROWS
}


def run(rows: Iterable[Row], pace: Pace) -> Iterator[Result]:
    """Measure *rows*, one after another."""
    for row in rows:
        _progress(row.name)
        try:
            result = Result(row, tuple(row.measure(pace)))
        except Skip as reason:
            result = Result(row, skipped=str(reason))
        _progress("")
        yield result


def _progress(word: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{word}")
        sys.stderr.flush()


def main(
    arguments: Sequence[str] | None = None, *, rows: dict[str, Row] = ROWS, pace: Pace | None = None
) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(
        "benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--short", action="store_true", help="fewer rounds, smaller numbers, limits three times as wide"
    )
    parser.add_argument("--json", action="store_true", help="one object; times in seconds")
    parser.add_argument("rows", metavar="ROW", nargs="*", help=f"which ones; there are {', '.join(rows)}")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.rows if name not in rows]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(rows)}")
    pace = pace or (SHORT if options.short else LONG)
    results: list[Result] = []

    def measured() -> Iterator[Result]:
        for result in run([rows[name] for name in options.rows or rows], pace):
            results.append(result)
            yield result

    if options.json:
        print(json.dumps(as_json(measured(), pace), indent=2))
    else:
        for line in rendered(measured(), pace):
            print(line, flush=True)
    return 0 if all(result.met(pace) for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
