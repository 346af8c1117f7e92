"""The kits, by the command line, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def oneiric(tmp_path):
    """``oneiric(words)`` in an empty folder: exit status, stdout, stderr."""

    def run(*words, **environment):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ONEIRIC")}
        paths = [inherited.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "hookspecs")]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "oneiric", *words],
            cwd=tmp_path,
            env=inherited | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "100"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "oneiric.toml").write_text('[app]\nstate_dir = "state"\n')
    return run


def test_a_request_by_parameters_and_a_result_as_json(oneiric):
    """One object on stdout."""
    code, out, err = oneiric(
        "action",
        "invoke",
        "compression.hash",
        "--param",
        "text=abc",
        "--param",
        "algorithm=sha3-256",
        "--json",
    )

    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "schema": "oneiric/action-result/1",
        "action": "compression.hash",
        "result": {
            "algorithm": "sha3-256",
            "digest": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
            "bytes": 3,
        },
        "warnings": [],
    }


def test_settings_of_the_file_and_of_the_environment(oneiric, tmp_path):
    """A secret by reference; it is nowhere to be seen."""
    with (tmp_path / "oneiric.toml").open("a") as file:
        file.write(
            '[secrets]\nsigning = "env:SIGNING"\n'
            '[actions.settings."security.signature"]\nsecret = { "$secret" = "signing" }\nencoding = "base64"\n'
        )
    code, out, err = oneiric(
        "action",
        "invoke",
        "security.signature",
        "--param",
        "text=what do ya want for nothing?",
        SIGNING="Jefe",
    )

    assert (code, err) == (0, "")
    assert "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=" in out
    assert "Jefe" not in out


def test_a_request_on_stdin_and_one_that_does_not_fit(oneiric):
    """Exit 4, one problem a line, no traceback."""
    code, out, err = oneiric(
        "action",
        "invoke",
        "workflow.orchestrate",
        "--input",
        '{"steps": [{"id": "a", "after": ["a", "b"]}], "x": true}',
    )

    assert (code, out) == (4, "")
    assert err == (
        "error: the request does not fit workflow.orchestrate\n"
        "  x: unknown key (there are: only, steps, width)\n"
        "  see oneiric action info workflow.orchestrate\n"
    )


def test_what_is_said_goes_to_stderr_and_the_result_to_stdout(oneiric):
    """So that a pipe gets what it expects."""
    code, out, err = oneiric(
        "action",
        "invoke",
        "debug.console",
        "--input",
        '{"message": "hi", "details": {"token": 1}, "echo": true}',
        "--json",
    )

    assert (code, err) == (0, 'info: hi {"token": "***"}\n')
    assert json.loads(out)["result"]["echoed"] is True


def test_an_audit_is_there_for_the_next_process(oneiric):
    """Numbers go on."""
    numbers = []
    for event in ("one", "two"):
        code, out, err = oneiric("action", "invoke", "workflow.audit", "--param", f"event={event}", "--json")
        assert (code, err) == (0, "")
        numbers.append(json.loads(out)["result"]["number"])

    assert numbers == [1, 2]


def test_an_action_that_is_switched_off_is_not_there(oneiric):
    """By its name; the others are."""
    code, _, err = oneiric("-p", "no:data.transform", "action", "invoke", "data.transform")
    assert (code, err.splitlines()[0]) == (3, "error: no candidate fills action:data.transform")
    assert oneiric("-p", "no:data.transform", "action", "list")[0] == 0
