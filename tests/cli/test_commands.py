"""What each command says, literally."""

import re
from textwrap import dedent

import pytest

from oneiric.assembly import BUILTINS

SHOP = """
Candidate(Key.of("adapter", "spool"), "redis", create, priority=10, version="5.0", distributions=["no-such-thing>=5"])
Candidate(Key.of("adapter", "spool"), "memory", create, summary="gone at the end")
Candidate(Key.of("service", "mail"), "smtp", create)
""".strip().splitlines()


#: Built-in plugins that are off here, so that those which come to be built in change no answer.
LEFT_OUT = [
    name for name, always in BUILTINS.items() if not (always or name.startswith(("domains.", "cache.")))
]


@pytest.fixture
def shop(folder):
    """A folder with settings that load one plugin, beside the caches and what the kernel is made of."""
    begins = f'[app]\nplugins = ["shop"]\n[plugins]\noff = {LEFT_OUT}\n'
    folder.plugin("shop", *SHOP)
    folder.write("oneiric.toml", begins)
    folder.write("everyone.toml", '[app]\nplugins = ["shop"]\n')
    folder.write("disk.toml", begins + '[adapters.selections]\ncache = "disk"\n')
    folder.write("twin.toml", begins)
    folder.write("items.toml", begins + "[adapters.settings.cache.memory]\nmax_items = 5\n")
    folder.write("slow.toml", begins + "[lifecycle]\nprobation = 3\n")
    return folder


ANSWERS = [
    (
        "list",
        0,
        """\
        DOMAIN   KEY    PROVIDER  PLUGIN        WHY                   OTHERS
        adapter  cache  memory    cache.memory  highest priority (0)  disk
        adapter  spool  memory    shop          the only candidate    redis
        service  mail   smtp      shop          the only candidate
        """,
    ),
    (
        "list --domain services",
        0,
        """\
        DOMAIN   KEY   PROVIDER  PLUGIN  WHY
        service  mail  smtp      shop    the only candidate
        """,
    ),
    ("list --domain workflow", 0, "no candidates are registered in domain workflow\n"),
    (
        "list --shadowed --domain adapter",
        0,
        """\
            DOMAIN   KEY    PROVIDER  PLUGIN        WHY                                         SUMMARY
        ->  adapter  cache  memory    cache.memory  highest priority (0)                        in this pro…
            adapter  cache  disk      cache.disk    priority -10 < 0 of memory                  in an SQLit…
        ->  adapter  spool  memory    shop          the only candidate                          gone at the…
        x   adapter  spool  redis     shop          left out: eligibility: no-such-thing is n…
        """,
    ),
    (
        "explain adapter cache",
        0,
        """\
        adapter:cache is filled by memory: highest priority (0)

            PROVIDER  PLUGIN        WHY                         WOULD WIN IF
        ->  memory    cache.memory  highest priority (0)
            disk      cache.disk    priority -10 < 0 of memory  priority above 0
        """,
    ),
    (
        "explain adapters:spool",
        0,
        """\
        adapter:spool is filled by memory: the only candidate

            PROVIDER  VERSION  PLUGIN  WHY                                        WOULD WIN IF
        ->  memory             shop    the only candidate
        x   redis     5.0      shop    left out: eligibility: no-such-thing is    no-such-thing>=5 installed
                                       not installed
        """,
    ),
    (
        "explain adapter cache --provider disk",
        0,
        """\
        adapter:cache is filled by disk: selected by the call

            PROVIDER  PLUGIN        WHY                                      WOULD WIN IF
        ->  disk      cache.disk    selected by the call
            memory    cache.memory  not disk, which is selected by the call  a call for memory
        """,
    ),
    (
        "explain adapter cache --why-not disk",
        0,
        """\
        disk does not win adapter:cache: priority -10 < 0 of memory
          it would win if: priority above 0
        """,
    ),
    ("explain adapter cache --why-not memory", 0, "memory does win adapter:cache: highest priority (0)\n"),
    (
        "plan",
        0,
        "no process of this application runs; to compare with other settings: oneiric plan NEW.toml\n",
    ),
    ("plan twin.toml", 0, "twin.toml would change nothing\n"),
    (
        "plan disk.toml",
        10,
        """\
        DOMAIN   KEY    NOW     THEN  WHY
        adapter  cache  memory  disk  selected by the settings
        """,
    ),
    (
        "plan items.toml",
        10,
        """\
        DOMAIN   KEY    NOW     THEN    WHY
        adapter  cache  memory  memory  its settings are others
        """,
    ),
    ("plan slow.toml", 10, "[lifecycle] differs: from the next operation on\n"),
    (
        "-c everyone.toml plugins",
        0,
        """\
        NAME              FROM         STATE  CANDIDATES  LOAD    HOOKS
        precedence        builtin      on                 N ms  resolve
        eligibility       builtin      on                 N ms  check_eligible
        factories         builtin      on                 N ms  activate, load
        probes            builtin      on                 N ms  probe
        probation         builtin      on                 N ms  rollback
        guards.scope      builtin      on                 N ms  check_manifest
        guards.factories  builtin      on                 N ms  check_manifest
        guards.prune      builtin      on                 N ms  check_manifest
        pinned            builtin      on                 N ms  verifiers
        domains.adapter   builtin      on                 N ms  domains
        domains.service   builtin      on                 N ms  activate, domains, failed, probe
        domains.task      builtin      on                 N ms  domains, started
        domains.event     builtin      on                 N ms  activated, domains, started, swapped
        domains.workflow  builtin      on                 N ms  domains, started
        domains.action    builtin      on                 N ms  domains
        cache.disk        builtin      on     1           N ms  candidates
        cache.memory      builtin      on     1           N ms  candidates
        shop              application  on     3           N ms  candidates
        """,
    ),
    (
        "plugins info shop",
        0,
        """\
        plugin      shop
        state       on
        origin      application
        where       FOLDER/shop.py:1
        hooks       oneiric_candidates
        candidates  adapter:spool redis, adapter:spool memory, service:mail smtp
        load        N ms
        """,
    ),
    (
        "plugins -p no:shop info shop",
        0,
        """\
        plugin           shop
        state            off
        reason           it is switched off
        switched off by  -p no:shop
        origin           application
        load             N ms
        """,
    ),
    (
        "hooks swapped -p no:domains.event",
        0,
        """\
        hook    oneiric_swapped
        form    observes, async
        answer  none
        about   Learn that one generation took the place of another.
        since   1.0

        nobody implements it
        """,
    ),
    ("--version", 0, "oneiric 1.0.0\n"),
]


@pytest.mark.parametrize(("words", "code", "said"), ANSWERS, ids=[words for words, *_ in ANSWERS])
def test_command_says(shop, words, code, said):
    """People are told this, and nothing on stderr; the exit code is the short answer."""
    ended = shop.run(*words.split())

    out = re.sub(r" +[\d.]+ ms", " N ms", ended.out).replace(str(shop.path), "FOLDER")
    expected = re.sub(r" +N ms", " N ms", dedent(said))
    if words.endswith("plugins"):  # how wide a column is depends on the times, and on the names left out
        out = "".join(f"{line}\n" for line in out.splitlines() if line.split()[0] not in LEFT_OUT)
        out, expected = re.sub(" +", " ", out), re.sub(" +", " ", expected)
    assert (ended.code, out, ended.err) == (code, expected, "")


def test_hook_is_explained_by_its_order(shop):
    """Who is asked first, and why; with or without the prefix, by ``hooks`` and by ``explain --hook``."""
    said = shop.run("hooks", "candidates", "--json").json["hooks"]

    assert [(hook["name"], hook["form"], hook["call"], hook["answer"]) for hook in said] == [
        ("oneiric_candidates", "declares", "sync", "Candidate")
    ]
    assert [(each["plugin"], each["mark"], each["why"]) for each in said[0]["implementations"]] == [
        ("cache.disk", None, "registered as number 16; the oldest is asked first"),
        ("cache.memory", None, "registered as number 17; the oldest is asked first"),
        ("shop", None, "registered as number 18; the oldest is asked first"),
    ]
    assert said[0]["implementations"][2]["where"] == f"{shop.path}/shop.py:8"
    assert shop.run("explain", "--hook", "oneiric_candidates", "--json").json["hooks"] == said


def test_table_of_hooks(shop):
    """Every hook in a line: its form, how it is called, its answer, and who implements it with the mark."""
    head, *lines = shop.run("hooks", "-p", "no:domains.event").out.splitlines()

    resolve, swapped = [line for line in lines if line.startswith(("oneiric_resolve ", "oneiric_swapped"))]
    # Columns are as wide as what stands in other lines; that they are columns is seen from where their cells begin.
    names = ["HOOK", "FORM", "CALL", "ANSWER", "IMPLEMENTED BY"]
    for line, cells in {
        head: names,
        resolve: ["oneiric_resolve", "decides", "sync", "Decision", "precedence (trylast)"],
        swapped: ["oneiric_swapped", "observes", "async"],
    }.items():
        assert re.split("  +", line) == cells
        assert [line.index(cell) for cell in cells] == [head.index(name) for name in names[: len(cells)]]


def test_hooks_of_each_plugin(shop):
    """--hooks has them in full; --slow has where the time went, the slowest first."""
    hooks, slow = (
        shop.run("plugins", "--hooks").out.splitlines(),
        shop.run("plugins", "--slow").out.splitlines(),
    )

    assert hooks[0].split() == ["NAME", "STATE", "HOOK"]
    first, second = hooks[3:5]
    assert first.split() == ["factories", "on", "oneiric_activate"]
    assert second == " " * first.index("oneiric_activate") + "oneiric_load"
    assert hooks[0].index("HOOK") == first.index("oneiric_activate")
    times = [float(line.split()[-4]) for line in slow[1:]]
    assert (slow[0].split(), times) == (
        ["NAME", "IN", "MEASURED", "TOTAL", "LONGEST"],
        sorted(times, reverse=True),
    )


def test_reason_of_several_is_said_once(shop):
    """Plugins that are off for one reason share its line, below the table; who has another reason has its own."""
    shop.write("off.toml", '[plugins]\noff = ["cache.disk", "cache.memory", "domains.task"]\n')

    ended = shop.run("-c", "off.toml", "plugins", "-p", "no:domains.event")

    assert ended.out.partition("\n\n")[2].replace(str(shop.path), "FOLDER").splitlines() == [
        "domains.task, cache.disk, cache.memory are off: they are switched off by [plugins] off (off.toml:2)",
        "domains.event is off: it is switched off by -p no:domains.event",
    ]


@pytest.mark.parametrize("words", ["list", "list --shadowed"])
def test_keys_are_read_whole(folder, words):
    """On a terminal of 80 columns other columns are cut, not what is to be typed into the next command."""
    names = [f"compression.{way}code" for way in ("en", "de")]
    folder.plugin("kits", *(f'Candidate(Key.of("service", {name!r}), {name!r}, create)' for name in names))

    lines = folder.run("-p", "kits", *words.split(), "--domain", "service", COLUMNS="80").out.splitlines()
    narrow = folder.run("-p", "kits", *words.split(), "--domain", "service", COLUMNS="70").out.splitlines()

    for said in (lines, narrow):
        assert [each for each in names if any(f"  {each}  " in line for line in said)] == names


def test_required_plugins_are_there(shop):
    """--require is quiet about what is on."""
    assert shop.run("plugins", "--require", "shop", "--require", "cache.memory").code == 0


def test_required_plugin_is_not_on(shop):
    """--require says why not."""
    ended = shop.run("plugins", "--require", "shop", "-p", "no:shop")

    assert (ended.code, ended.out, ended.err) == (
        3,
        "",
        "error: required: shop is off: it is switched off by -p no:shop\n",
    )


def test_plan_touches_nothing(shop):
    """After a plan the answer of list is the same, and no file was made."""
    before, files = shop.run("list").out, sorted(shop.path.rglob("*.toml"))

    shop.run("plan", "disk.toml")

    assert (shop.run("list").out, sorted(shop.path.rglob("*.toml"))) == (before, files)


def test_nobody_fills_it(shop):
    """A part for which every candidate is left out is listed, and explained."""
    shop.plugin("alone", 'Candidate(Key.of("task", "dig"), "spade", create, platforms=["moon"])')

    listed = shop.run("-p", "alone", "list", "--domain", "task")
    explained = shop.run("-p", "alone", "explain", "task", "dig")

    assert (listed.code, listed.out.splitlines()[1].split()[:3]) == (0, ["task", "dig", "(none)"])
    assert (explained.code, explained.out.splitlines()[0]) == (
        0,
        "nobody fills task:dig: no candidate fills task:dig",
    )


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
@pytest.mark.parametrize(
    "words", ["list --shadowed", "plugins", "hooks", "explain adapter spool", "plugins info shop"]
)
def test_tables_fit(shop, words, columns):
    """No line is longer than the terminal is wide."""
    out = shop.run("-c", "everyone.toml", *words.split(), COLUMNS=str(columns)).out

    assert max(map(len, out.splitlines()[1:])) <= columns


def test_no_control_character_reaches_the_terminal(shop):
    """What a plugin writes into its texts is shown, and does nothing."""
    shop.plugin(
        "rude", 'Candidate(Key.of("task", "a"), "b", create, summary="\\x1b[2Jgone\\nfor\\tgood\\x9b")'
    )

    out = shop.run("-p", "rude", "list", "--shadowed", "--domain", "task").out

    assert out.splitlines()[1].endswith("[2Jgone for good")
    assert out.isprintable() or set(filter(lambda c: not c.isprintable(), out)) == {"\n"}
