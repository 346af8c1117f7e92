"""The benchmarks: that they measure honestly, and that every row can be measured."""

import gc
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = [path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "__main__"]


@pytest.fixture(scope="module")
def bench():
    """The modules of the benchmarks, which are scripts and no package; ``bench.main`` is what runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        modules = {name: importlib.import_module(name) for name in NAMES}
        spec = importlib.util.spec_from_file_location("benchmarks_main", BENCHMARKS / "__main__.py")
        main = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(main)
        yield SimpleNamespace(**modules, main=main.main, run=main.run, rows=main.ROWS)
        for name in NAMES:
            del sys.modules[name]


@pytest.fixture
def pace(bench):
    """Very few samples, and short ones: enough to see that something can be measured."""
    return bench.harness.Pace(rounds=1, seconds=0.0005, short=True, margin=1000.0)


def rows(bench, *lines):
    """The rows of a table that measures nothing and says *lines*."""

    def measure(pace):
        """Nothing.  Plain: nothing."""
        yield from lines

    return {"row": bench.lines.Row("row", measure)}


def line(bench, figure, must=2.0, **more):
    return bench.lines.Line("a case", figure, "×", must, **more)


# --- measuring ----------------------------------------------------------------------------------------------------


def test_twice_the_work_takes_twice_as_long(bench):
    """The ratio is that of the work, whatever else the machine does."""

    def once():
        return sum(range(400))

    def twice():
        once()
        once()

    pace = bench.harness.Pace(rounds=200, seconds=0.0005)
    times = bench.harness.race(
        {
            "plain": bench.harness.repeat("work()", work=once),
            "ours": bench.harness.repeat("work()", work=twice),
        },
        pace,
    )

    assert 1.5 < bench.lines.ratio("twice", times, None).figure < 2.7


def test_contenders_take_turns(bench):
    """What slows the machine for a while slows all of them: A B, B A, A B."""
    order = []

    def contender(name):
        def sample(number):
            order.append(name)
            return 1.0 * number

        return sample

    times = bench.harness.race(
        {"a": contender("a"), "b": contender("b")}, bench.harness.Pace(rounds=3, seconds=1.0)
    )

    assert "".join(order[2:]) == "abbaab"
    assert {name: each.samples for name, each in times.items()} == {"a": (1.0,) * 3, "b": (1.0,) * 3}


def test_collector_waits(bench):
    """No sample pays for another one's garbage, and afterwards everything is as before."""
    seen = []

    def sample(number):
        seen.append(gc.isenabled())
        return 1.0

    bench.harness.race({"ours": sample}, bench.harness.Pace(rounds=2, seconds=0.1))

    assert (set(seen), gc.isenabled(), gc.get_freeze_count()) == ({False}, True, 0)


def test_samples_are_long_enough(bench):
    """The number of repetitions is found by trying, for the fast and for the slow."""
    harness = bench.harness

    assert [
        harness.calibrate(lambda number, each=each: number * each, 0.02) for each in (1e-6, 0.02, 1.0)
    ] == [20000, 1, 1]


def test_disturbed_first_sample_is_not_believed(bench):
    """A pause of the machine while the number is found does not make all samples too short."""
    pauses = iter([0.5])

    assert bench.harness.calibrate(lambda number: number * 1e-6 + next(pauses, 0.0), 0.02) == 20000


def test_bulk_is_counted_by_the_piece(bench):
    """A sample that does a thousand things at a time gives the seconds of one thing times the number asked for."""
    sample = bench.harness.in_bulk(lambda times: 2.0 * times, 1000)

    assert [sample(1), sample(1500)] == [0.002, 3.0]


def test_what_is_undone_is_not_counted(bench, clock):
    """Putting things back is no part of what is measured."""
    sample = bench.harness.timed(lambda: clock.advance(2.0), lambda: clock.advance(5.0), clock.time)

    assert sample(3) == 6.0


def test_statement_is_timed_where_it_stands(bench):
    """A loop in the statement counts for as many as it does."""
    seen = []
    bench.harness.repeat("for each in things: seen.append(each)", 10, things=range(10), seen=seen)(25)

    assert len(seen) == 20


# --- the verdict --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "must", "short", "status"),
    [
        (1.9, 2.0, False, 0),
        (2.1, 2.0, False, 1),
        (2.1, 2.0, True, 0),
        (6.1, 2.0, True, 1),
        (6.1, None, False, 0),
    ],
)
def test_status_says_whether_a_limit_was_missed(bench, figure, must, short, status, capsys):
    """1 when a row misses its limit, in the short form with a margin of three."""
    pace = bench.harness.SHORT if short else bench.harness.LONG

    assert bench.main([], rows=rows(bench, line(bench, 0.1), line(bench, figure, must)), pace=pace) == status


def test_what_no_noise_touches_has_no_margin(bench, capsys):
    """Bytes are as many on every machine, and one call that failed is one too many."""
    failed = line(bench, 2.1, 2.0, exact=True)

    assert bench.main(["--short"], rows=rows(bench, failed)) == 1


def test_row_that_cannot_be_measured_is_no_miss(bench, capsys):
    """It is skipped, with the reason; anything else that goes wrong is not hidden."""

    def skipped(pace):
        """Nothing."""
        raise bench.lines.Skip("there is no moon")
        yield

    def broken(pace):
        """Nothing."""
        import no_such_module_anywhere

        yield no_such_module_anywhere

    assert bench.main([], rows={"row": bench.lines.Row("row", skipped)}) == 0
    assert "skipped: there is no moon" in capsys.readouterr().out
    with pytest.raises(ModuleNotFoundError):
        bench.main([], rows={"row": bench.lines.Row("row", broken)})


def test_unknown_row_names_those_there_are(bench, capsys):
    """A typo is not an empty table."""
    with pytest.raises(SystemExit) as error:
        bench.main(["rwo"], rows=rows(bench))

    assert (error.value.code, "no row rwo; there are row" in capsys.readouterr().err) == (2, True)


# --- the table ----------------------------------------------------------------------------------------------------


def test_table_says_what_was_measured(bench, capsys):
    """A row's own sentence, its figures, the peers in the same terms, and by how much it is met or missed."""
    times = {
        name: bench.harness.Times((each, 2 * each))
        for name, each in {"ours": 3e-6, "plain": 2e-6, "else": 8e-6}.items()
    }
    met = bench.peers.without(bench.lines.ratio("a case", times, 2.0), {"absent": "absent is not installed"})
    missed = bench.lines.seconds("another", times, 1e-6)

    bench.main([], rows=rows(bench, met, missed))

    assert capsys.readouterr().out.splitlines()[3:] == [
        "",
        "row: Nothing. Plain: nothing.",
        "  a case                           3.00 µs  4.50 µs  2.00 µs   1.50 × ≤ 2.00 ×  met, 25% under",
        "      else 4.00 ×",
        "  another                          3.00 µs  4.50 µs  2.00 µs  3.00 µs ≤ 1.00 µs  missed, 200% over !",
        "      else 8.00 µs",
        "",
        "Not compared: absent (absent is not installed)",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0.00 ns"),
        (-0.0123, "s", "-12.3 ms"),
        (123e-9, "s", "123 ns"),
        (1.5, "s", "1.50 s"),
        (12.34, "×", "12.3 ×"),
        (494.4, "B", "494 B"),
        (0, "", "0"),
    ],
)
def test_figures_are_short(bench, value, unit, text):
    """Three digits, in the unit that suits them."""
    assert bench.table.shown(value, unit) == text


# --- every row ----------------------------------------------------------------------------------------------------

ROWS = [
    "resolve",
    "resolve-threads",
    "resolve-first",
    "explain",
    "register",
    "register-one-key",
    "memory",
    "hooks",
    "handle",
    "use",
    "swap",
    "swap-load",
    "many-keys",
    "actions",
    "events",
    "tasks",
    "workflows",
    "state",
    "swap-kept",
    "idle",
    "remote-unchanged",
    "remote-poll",
    "remote-apply",
    "import",
    "commands",
    "entry-points",
]


def test_every_row_is_tried_below(bench):
    """A row that is added is measured here too."""
    assert [*bench.rows] == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_row_can_be_measured(row, bench, pace):
    """Each gives lines with figures, within 100 columns, and as one object for machines."""
    (result,) = bench.run([bench.rows[row]], pace)

    assert (result.skipped, result.met(pace), bool(result.lines)) == ("", True, True)
    assert max(map(len, bench.table.rendered([result], pace))) <= 100
    assert json.loads(json.dumps(bench.table.as_json([result], pace)))["rows"][0]["row"] == row
