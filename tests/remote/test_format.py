"""Streams of somebody else's: what the format leaves open is read in each form, and what it closes is refused, by its code.

The bytes are put together here, one by one, from what the format says; nothing of the project writes them.
"""

import base64
import json

import pytest
from stream_publisher import DAY, ENTRIES, KEYRING, RELEASE, Key, Publisher, b64, entry, envelope, stamp

A = entry("adapter", "thing", "a", "stream_kit:Part")
LINE = b'{"domain":"adapter","key":"thing","provider":"a","factory":"stream_kit:Part"}'


def outcome(report):
    return (report.outcome, report.code, report.version)


def signed(publisher, kind, payload, keys=None, *, head=None):
    """An envelope, as *head* would write it: a function of payload and signatures, as texts."""
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signatures = [(key.id, b64(key.private.sign(message))) for key in keys or publisher.keys]
    return (head or plain)(kind, b64(payload), signatures)


def plain(kind, payload, signatures):
    return json.dumps(
        {
            "payloadType": kind,
            "payload": payload,
            "signatures": [{"keyid": keyid, "sig": sig} for keyid, sig in signatures],
        }
    ).encode()


def release(project, body=None, **more):
    """Put a body there, and give the release of it."""
    publisher = project.publisher
    publisher.version = 1
    body = publisher.body([A]) if body is None else body
    made = publisher.release(body, **more)
    publisher.write(made["manifest"]["path"], body)
    return made


# --- what is read ---------------------------------------------------------------------------------------------------

HEADS = {
    "indented": lambda kind, payload, signatures: json.dumps(
        json.loads(plain(kind, payload, signatures)), indent=4
    ).encode(),
    "in another order, with a line feed": lambda kind, payload, signatures: (
        b'{"signatures":[{"sig":"%s","keyid":"%s"}],\n"payload":"%s","payloadType":"%s"}\n'
        % tuple(each.encode() for each in (signatures[0][1], signatures[0][0], payload, kind))
    ),
    "with other fields, that nobody signed": lambda kind, payload, signatures: json.dumps(
        json.loads(plain(kind, payload, signatures)) | {"alg": "none", "x": [1]}
    ).encode(),
    "without keyid": lambda kind, payload, signatures: json.dumps(
        {"payloadType": kind, "payload": payload, "signatures": [{"sig": signatures[0][1]}]}
    ).encode(),
    "with an empty keyid": lambda kind, payload, signatures: plain(kind, payload, [("", signatures[0][1])]),
    "with another's keyid": lambda kind, payload, signatures: plain(
        kind, payload, [("key-1", signatures[0][1])]
    ),
    "with a stranger's signature too": lambda kind, payload, signatures: plain(
        kind, payload, [("key-2", b64(bytes(64))), *signatures]
    ),
    "with escapes": lambda kind, payload, signatures: plain(kind, payload, signatures).replace(
        b"/", b"\\u002f"
    ),
}


@pytest.mark.parametrize("form", HEADS)
def test_a_head_may_be_written_in_any_form_of_json(project, form):
    """Its payload is signed, and not how the envelope around it is written."""
    payload = json.dumps(release(project)).encode()
    project.publisher.write("head.json", signed(project.publisher, RELEASE, payload, head=HEADS[form]))

    assert outcome(project.synced()) == ("applied", None, 1)


PAYLOADS = {
    "indented": lambda document: json.dumps(document, indent=2).encode(),
    "sorted": lambda document: json.dumps(document, sort_keys=True).encode(),
    "with a line feed": lambda document: json.dumps(document).encode() + b"\n",
    "with room": lambda document: b" \t\r\n" + json.dumps(document).encode(),
    "with letters as they are": lambda document: json.dumps(
        document | {"note": "Grüße, 早"}, ensure_ascii=False
    ).encode(),
    "with every field": lambda document: json.dumps(
        document | {"allow_removals": 0, "min_client": "0.1", "crit": [], "note": "n" * 1024}
    ).encode(),
}


@pytest.mark.parametrize("form", PAYLOADS)
def test_a_release_may_be_written_in_any_form_of_json(project, form):
    """The very bytes are verified and read; there is no canonical form."""
    payload = PAYLOADS[form](release(project))
    project.publisher.write("head.json", signed(project.publisher, RELEASE, payload))

    assert outcome(project.synced()) == ("applied", None, 1)


@pytest.mark.parametrize(("seconds", "code"), [(30 * DAY, None), (30 * DAY + 1, "expired")])
def test_thirty_days_are_the_most(project, seconds, code):
    """To the second."""
    issued = project.now - 60
    made = release(project, issued=stamp(issued), expires=stamp(issued + seconds))
    project.publisher.write("head.json", envelope(RELEASE, made, project.publisher.keys))

    assert project.synced().code == code


@pytest.mark.parametrize(
    "path", ["manifests/1.jsonl", "body.jsonl", "v1/of/it", "manifests/" + "0" * 64 + ".jsonl"]
)
@pytest.mark.parametrize("place", ["folder", "bundle"])
def test_a_body_is_where_its_release_says(project, place, path):
    """In a folder, and in a bundle, in which there is but one."""
    made = release(project)
    body = (project.publisher.folder / made["manifest"]["path"]).read_bytes()
    made["manifest"]["path"] = path
    head = envelope(RELEASE, made, project.publisher.keys)
    project.publisher.write("head.json", head)
    project.publisher.write(path, body)
    if place == "bundle":
        (project.folder / "it.bundle").write_bytes(head + b"\n" + body)
        project.settings(url=f"file://{project.folder}/it.bundle")

    assert outcome(project.synced()) == ("applied", None, 1)


@pytest.mark.parametrize("name", ["Alice", "SHA256:q0/+=", "root key 1", "ROOT__1", "Zoë", "x" * 128])
def test_keys_are_called_whatever_their_owner_likes(project, tmp_path, name):
    """An id is a hint, and no name of anything here."""
    root, key = Key(1), Key(2)
    root.id, key.id = name, "2" + name[1:]
    other = Publisher(tmp_path / "other", now=lambda: project.now, root=[root], keys=[key])
    (project.folder / "keys.json").write_bytes(other.anchor)
    project.settings(url=f"file://{tmp_path}/other")
    other.publish(A)
    report = project.synced()

    assert (outcome(report), report.signers) == (("applied", None, 1), (key.id,))
    assert project.json("remote-sync")["streams"][0]["outcome"] == "unchanged"


BODIES = {
    "as a list of lines": b'{"spec":"1","stream":"prod","version":1,"count":1}\n' + LINE + b"\n",
    "without the last line feed": b'{"spec":"1","stream":"prod","version":1,"count":1}\n' + LINE,
    "in another order, with room": b' {"count" : 1, "version": 1, "stream": "prod",\t"spec": "1"} \n'
    b' {"factory": "stream_kit:Part", "provider": "a", "key": "thing", "domain": "adapter"} \n',
    "with escapes": b'{"spec":"1","stream":"prod","version":1,"count":1}\n'
    + LINE.replace(b"thing", b"t\\u0068ing"),
    "of nothing": b'{"spec":"1","stream":"prod","version":1,"count":0}',
}


@pytest.mark.parametrize("form", BODIES)
def test_a_line_may_be_written_in_any_form_of_json(project, form):
    """As long as it is one line."""
    project.publisher.publish(version=1, body=BODIES[form], allow_removals=1)

    assert outcome(project.synced()) == ("applied", None, 1)


def test_the_shortest_entries_there_can_be(project):
    """A count is only refused where no entries, however short, have room: these are refused for what they say."""
    lines = [b'{"domain":"a","key":"b","provider":"%c","factory":"m:a"}' % letter for letter in b"abcdefgh"]
    body = b"\n".join([b'{"spec":"1","stream":"prod","version":1,"count":8}', *lines])
    project.publisher.publish(version=1, body=body)
    report = project.synced()

    assert (report.code, report.line) == ("factory", 2)


# --- what is refused ------------------------------------------------------------------------------------------------

HEADER = b'{"spec":"1","stream":"prod","version":1,"count":1}\n'
REFUSED_BODIES = {
    "a mark before it": (b"\xef\xbb\xbf" + HEADER + LINE, 1),
    "UTF-16": ((HEADER + LINE).decode().encode("utf-16"), 1),
    "carriage returns": (HEADER.replace(b"\n", b"\r\n") + LINE, 1),
    "an empty line": (HEADER + b"\n" + LINE, 1),
    "two line feeds at its end": (HEADER + LINE + b"\n\n", 1),
    "an entry too many": (HEADER + LINE + b"\n" + LINE.replace(b'"a"', b'"b"'), 1),
    "an entry too few": (HEADER, 1),
    "another spec": (HEADER.replace(b'"1"', b'"2"') + LINE, 1),
    "spec as a number": (HEADER.replace(b'"1"', b"1") + LINE, 1),
    "a first line with more": (HEADER.replace(b"{", b'{"x":1,') + LINE, 1),
    "a field twice": (HEADER + LINE[:-1] + b',"key":"thing"}', 2),
    "a field that is not known": (HEADER + LINE[:-1] + b',"requires":[]}', 2),
    "true as a number": (HEADER + LINE[:-1] + b',"priority":true}', 2),
    "1.0 as a whole number": (HEADER + LINE[:-1] + b',"priority":1.0}', 2),
    "2^53": (HEADER + LINE[:-1] + b',"priority":9007199254740992}', 2),
    "NaN": (HEADER + LINE[:-1] + b',"settings":{"size":NaN}}', 2),
    "a number beyond all": (HEADER + LINE[:-1] + b',"settings":{"size":1e999}}', 2),
    "half a character": (HEADER + LINE[:-1] + b',"owner":"\\ud800"}', 2),
    "33 deep": (HEADER + LINE[:-1] + b',"data":' + b"[" * 32 + b"]" * 32 + b"}", 2),
    "a line of more than 64 KiB": (HEADER + LINE[:-1] + b" " * (65_537 - len(LINE)) + b"}", 2),
    "a name in capitals": (HEADER + LINE.replace(b"thing", b"Thing"), 2),
    "a name with two underscores": (HEADER + LINE.replace(b"thing", b"th__ing"), 2),
    "a secret by its place": (HEADER + LINE[:-1] + b',"settings":{"token":{"$secret":"env:HOME"}}}', 2),
    "no order": (
        HEADER.replace(b'"count":1', b'"count":2') + LINE.replace(b'"a"', b'"b"') + b"\n" + LINE,
        3,
    ),
    "one twice": (HEADER.replace(b'"count":1', b'"count":2') + LINE + b"\n" + LINE, 3),
}


@pytest.mark.parametrize("form", REFUSED_BODIES)
def test_a_body_of_another_form_is_refused(project, form):
    """With the line, and nothing of it is registered."""
    body, line = REFUSED_BODIES[form]
    project.publisher.publish(version=1, body=body)
    runtime = project.runtime()
    report = project.synced(runtime)

    assert (outcome(report), report.line) == (("rejected", "malformed", None), line)
    assert "thing" not in runtime.keys("adapter")


@pytest.mark.parametrize(
    "line",
    [
        LINE[:-1] + b" " * (65_536 - len(LINE)) + b"}",
        LINE[:-1] + b',"labels":{"a":' + b"[" * 30 + b"]" * 30 + b"}}",
    ],
    ids=["64 KiB", "32 deep"],
)
def test_what_may_just_be_is_taken(project, line):
    """A limit is the most there may be."""
    project.publisher.publish(version=1, body=HEADER + line)

    assert outcome(project.synced()) == ("applied", None, 1)


REFUSED_HEADS = {
    "no base64": (lambda head: head | {"payload": head["payload"][:-1] + "!"}, "malformed"),
    "base64 without padding": (lambda head: head | {"payload": head["payload"].rstrip("=")}, "malformed"),
    "base64 for addresses": (
        lambda head: head | {"signatures": [{"keyid": "key-2", "sig": "_-" * 43 + "=="}]},
        "malformed",
    ),
    "no signatures": (lambda head: head | {"signatures": []}, "signature"),
    "signatures that are null": (lambda head: head | {"signatures": None}, "signature"),
    "signatures that are text": (lambda head: head | {"signatures": ""}, "signature"),
    "signatures left out": (
        lambda head: {name: head[name] for name in ("payload", "payloadType")},
        "signature",
    ),
    "a signature of nothing": (
        lambda head: head | {"signatures": [{"keyid": "key-2", "sig": ""}]},
        "signature",
    ),
    "another type": (lambda head: head | {"payloadType": KEYRING}, "wrong-type"),
    "the type in capitals": (lambda head: head | {"payloadType": RELEASE.upper()}, "wrong-type"),
    "17 KiB": (lambda head: head | {"x": "x" * 16_384}, "too-large"),
}


@pytest.mark.parametrize("form", REFUSED_HEADS)
def test_a_head_of_another_form_is_refused(project, form):
    """With its code, and the floor stays where it was."""
    change, code = REFUSED_HEADS[form]
    made = release(project)
    made["note"] = ""
    made["note"] = "x" * ((1 - len(json.dumps(made))) % 3)  # so that there is padding
    head = json.loads(envelope(RELEASE, made, project.publisher.keys))
    project.publisher.write("head.json", json.dumps(change(head)).encode())
    runtime = project.runtime()
    report = project.synced(runtime)

    assert (report.code, runtime.remote.status()[0].floor) == (code, None)


RELEASES = {
    "spec 2": {"spec": "2"},
    "spec as a number": {"spec": 1},
    "epoch 0": {"epoch": 0},
    "version 0": {"version": 0},
    "version 2^53": {"version": 2**53},
    "version as text": {"version": "1"},
    "keyring 0": {"keyring": 0},
    "a time of another zone": {"expires": "2099-01-01T00:00:00+00:00"},
    "a time with a fraction": {"expires": "2099-01-01T00:00:00.0Z"},
    "a time of no day": {"expires": "2099-02-30T00:00:00Z"},
    "another body": {"manifest": {"media_type": "application/json"}},
    "a digest in capitals": {"manifest": {"sha256": "A" * 64}},
    "a path that leads up": {"manifest": {"path": "../body.jsonl"}},
    "a path from the root": {"manifest": {"path": "/etc/passwd"}},
    "a path with a scheme": {"manifest": {"path": "file:///etc/passwd"}},
    "a path with an escape": {"manifest": {"path": "%2e%2e/body"}},
    "a size below 0": {"manifest": {"size": -1}},
    "a field more": {"manifest": {"mirror": "x"}},
    "a note of more than 1 KiB": {"note": "ü" * 513},
    "a removal of less than nothing": {"allow_removals": -1},
}


@pytest.mark.parametrize("form", RELEASES)
def test_a_release_of_another_form_is_refused(project, form):
    """Signed or not."""
    made = release(project)
    change = RELEASES[form]
    inner = change.get("manifest")
    made |= change if inner is None else {"manifest": made["manifest"] | inner}
    project.publisher.write("head.json", envelope(RELEASE, made, project.publisher.keys))

    assert project.synced().code == "malformed"


@pytest.mark.parametrize("name", ["expires", "issued", "keyring", "manifest", "epoch", "spec"])
def test_what_a_release_has_to_say(project, name):
    """Each field that is not optional."""
    made = release(project)
    del made[name]
    project.publisher.write("head.json", envelope(RELEASE, made, project.publisher.keys))

    assert project.synced().code == "malformed"


def test_the_kinds_are_what_they_are_said_to_be(project):
    """The names of the types, and the bytes that are signed, by the published example of the envelope."""
    message = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    made = json.loads(envelope("http://example.com/HelloWorld", b"hello world", [Key(1)]))

    Key(1).private.public_key().verify(base64.b64decode(made["signatures"][0]["sig"]), message)
    assert (RELEASE, KEYRING, ENTRIES) == (
        "application/vnd.oneiric.release.v1+json",
        "application/vnd.oneiric.keyring.v1+json",
        "application/vnd.oneiric.entries.v1+jsonl",
    )
