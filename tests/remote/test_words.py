"""``oneiric remote-sync`` and ``oneiric remote-status``, as they are typed."""

import json

from stream_publisher import DAY, entry, stamp

A = entry("adapter", "thing", "a", "stream_kit:Part")
BAD = entry("adapter", "thing", "b", "os:system")


def test_a_sync_is_a_table(project):
    """What came of each stream, and exit 0."""
    project.publisher.publish(A, entry("adapter", "other", "o", "stream_kit:plain", platforms=["amiga"]))

    result = project.oneiric("remote-sync")

    said = "no process of this application runs: this one syncs\n"
    assert (result.exit_code, result.stderr) == (0, said)
    head, row, skipped = result.stdout.splitlines()
    assert head.split() == ["STREAM", "OUTCOME", "VERSION", "ADDED", "CHANGED", "REMOVED", "SKIPPED", "MS"]
    assert row.split()[:7] == ["prod", "applied", "1.1", "1", "0", "0", "1"]
    assert skipped.startswith("prod: passed over adapter:other o: it is for amiga, and this is ")


def test_a_sync_as_json(project):
    """One object, whose fields are those that are documented."""
    project.publisher.publish(A)

    told = project.json("remote-sync", "prod")

    [stream] = told["streams"]
    duration, signers = stream.pop("duration_ms"), stream.pop("signers")
    bytes_ = stream.pop("bytes")
    assert told["schema"] == "oneiric/remote-sync/1"
    assert stream == {
        "stream": "prod",
        "outcome": "applied",
        "code": None,
        "line": None,
        "detail": "",
        "epoch": 1,
        "version": 1,
        "added": [{"domain": "adapter", "key": "thing", "provider": "a", "version": ""}],
        "changed": [],
        "removed": [],
        "skipped": [],
        "stale": False,
        "domains": {"adapter": 1},
        "digest_checks": 1,
    }
    assert (signers, duration > 0, bytes_ > 300) == (["key-2"], True, True)


def test_what_is_rejected_exits_with_7(project):
    """With the code, the line and the reason; what was in force is listed still."""
    project.publisher.publish(A)
    project.oneiric("remote-sync")
    project.publisher.publish(A, BAD)

    result = project.oneiric("remote-sync")

    assert result.exit_code == 7
    assert "prod: factory: line 3: adapter:thing b: " in result.stdout
    status = project.oneiric("remote-status")
    assert (status.exit_code, "1.1" in status.stdout) == (0, True)
    assert "prod: refused 1.2: factory: " in status.stdout
    assert "a" in project.oneiric("explain", "adapter", "thing").stdout


def test_what_cannot_be_reached_exits_with_8(project):
    """Nothing was ever published, and that is no trouble to any other command."""
    result = project.oneiric("remote-sync")

    assert result.exit_code == 8
    assert "prod: unreachable: " in result.stdout
    assert project.oneiric("list").exit_code == 0


def test_a_dry_run_says_so(project):
    """And the stream stays empty."""
    project.publisher.publish(A)

    result = project.oneiric("remote-sync", "--dry-run")

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (
        0,
        "nothing was registered or kept: --dry-run",
    )
    [stream] = project.json("remote-status")["streams"]
    assert (stream["condition"], stream["version"]) == ("empty", None)


def test_a_stream_that_is_not_there(project):
    """The nearest name, exit 3."""
    for words in (("remote-sync", "prd"), ("remote-status", "prd")):
        result = project.oneiric(*words)
        assert (result.exit_code, result.stderr.splitlines()) == (
            3,
            ["error: there is no stream prd", "  did you mean prod?"],
        )


def test_words_that_do_not_go_together(project):
    """Usage errors: nothing was fetched."""
    for words in (
        ("--watch", "--dry-run"),
        ("--refresh-interval", "5"),
        ("--refresh-interval", "0", "--watch"),
    ):
        assert project.oneiric("remote-sync", *words).exit_code == 2


def test_status_after_it_expired(project):
    """It is told as stale, and what it says of itself is plain data."""
    project.publisher.publish(A, issued=stamp(project.now - DAY), expires=stamp(project.now + 3))
    project.oneiric("remote-sync")
    state = project.folder / "state/remote/prod/state.json"
    kept = json.loads(state.read_text())
    kept["active"]["release"]["expires"] = stamp(project.now - 5)
    state.write_text(json.dumps(kept))

    [stream] = project.json("remote-status")["streams"]

    assert stream["url"] == f"file://{project.folder}/srv"
    assert stream["condition"] == "stale"


def test_no_streams(tmp_path, monkeypatch, project):
    """Says so, and is no error."""
    (project.folder / "oneiric.toml").write_text("")

    assert project.oneiric("remote-sync").stdout == "[remote] names no stream\n"
    assert project.json("remote-status")["streams"] == []


def test_a_password_in_an_address_is_shown_nowhere(project):
    """The address is refused, without being repeated."""
    project.settings(url="https://me:hunter2@example.org/")

    for words in (
        ["list"],
        ["remote-sync"],
        ["remote-status"],
        ["config", "check"],
        ["config", "show", "--origin"],
    ):
        result = project.oneiric(*words)
        assert result.exit_code == 5
        assert "hunter2" not in result.stdout + result.stderr
