"""What came of a choice, said to people and to programs, and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import OneiricError, a_few

from .choosing import FAILED
from .desk import NOBODY
from .moments import stamp, took
from .parts import short

if TYPE_CHECKING:
    from oneiric.cli.context import Context
    from oneiric.state import Pin, Seen

    from .choosing import Chosen


class Refused(OneiricError):
    """What was asked for did not come about; what served before serves still."""

    exit_code = 4


class Late(OneiricError):
    """A process has not answered in time."""

    exit_code = 8


def answer(context: Context, word: str, chosen: Chosen) -> None:
    """Show what came of a choice.

    Raises:
        Refused: It did not come about.
        Late: A process has not answered.
    """
    error = _error(chosen)
    if context.json or error is None or len(chosen.did) > 1:
        context.show(plain(chosen), f"oneiric/{word}/1", lambda _: "\n".join(lines(chosen)))
    if error is not None:
        raise error


def plain(chosen: Chosen) -> dict[str, Any]:
    """All of it as plain data."""
    key = chosen.choice.key
    names = sorted({*chosen.did, *chosen.late, *chosen.gone})
    return {
        "domain": key.domain,
        "key": key.name,
        "provider": chosen.choice.provider,
        "outcome": chosen.outcome,
        "pin": pin_json(chosen.pin),
        "before": pin_json(chosen.before),
        "nodes": [_node(chosen, name) for name in names],
    }


def pin_json(pin: Pin | None) -> dict[str, Any] | None:
    """A pin as plain data."""
    if pin is None:
        return None
    return {
        "provider": pin.provider,
        "actor": pin.mark.actor,
        "at": stamp(pin.mark.at),
        "until": stamp(pin.mark.until),
        "note": pin.mark.note,
    }


def _node(chosen: Chosen, name: str) -> dict[str, Any]:
    was, did = chosen.was.get(name), chosen.did.get(name)
    state = "late" if name in chosen.late else "gone" if name in chosen.gone else ""
    return {
        "node": name,
        "before": None if was is None else was.provider,
        "serving": chosen.serving(name),
        "outcome": did.outcome if did is not None else state,
        "ms": None if did is None else did.ms,
        "told": "" if did is None else did.told,
        "exit": 0 if did is None else did.exit,
    }


def lines(chosen: Chosen) -> list[str]:
    """What people read."""
    key, pin = chosen.choice.key, chosen.pin
    several = len(chosen.did) + len(chosen.late) + len(chosen.gone) > 1
    said = [
        (f"{name}: " if several else "") + _did(chosen, name, seen)
        for name, seen in sorted(chosen.did.items())
    ]
    said += [f"{name}: ended meanwhile" for name in chosen.gone]
    if chosen.outcome == "nothing":
        return [*said, f"nothing is pinned to {key}"]
    if chosen.outcome == "stored":
        now = f"{key} is pinned to {pin.provider}" if pin is not None else f"{key} is pinned no more"
        return [*said, f"{now}; {NOBODY}: it counts from the next start"]
    if chosen.outcome == "done" and any(seen.outcome == "swapped" for seen in chosen.did.values()):
        back = "rollback" if pin is not None else "swap"
        before = "" if pin is not None or chosen.before is None else f" {chosen.before.provider}"
        said.append(f"undo with: oneiric {back} {short(key)}{before}")
    return said


def _did(chosen: Chosen, name: str, seen: Seen) -> str:
    was, key = chosen.was.get(name), chosen.choice.key.name
    before = None if was is None else was.provider
    ms = f" in {took(seen.ms)}" if seen.ms else ""
    if seen.outcome in FAILED:
        return f"{key}: {seen.told}"
    if seen.outcome == "pinned":
        return f"{key}: {seen.provider or chosen.choice.provider}, from its first use on"
    if seen.provider is None:
        return f"{key}: nothing is in use"
    if before is None:
        return f"{key}: {seen.provider} came up{ms}"
    if before == seen.provider:
        return f"{key}: {seen.provider}, as before"
    return f"{key}: {before} -> {seen.provider}{ms}"


def _error(chosen: Chosen) -> OneiricError | None:
    key = chosen.choice.key
    if chosen.outcome == "superseded":
        now = "pinned no more" if chosen.pin is None else _pinned(chosen.pin)
        failed = _failed(chosen)
        what = f"{failed[0][1]}; " if failed else ""
        return Refused(
            f"{what}somebody else has chosen meanwhile, and that is left as it is: {key} is {now}",
            hint=f"see: oneiric explain {short(key)}",
        )
    if chosen.outcome == "taken_back":
        return _refused(chosen)
    if chosen.outcome == "late":
        stands = "pinned no more" if chosen.pin is None else f"pinned to {chosen.pin.provider}"
        back = "" if chosen.pin is None else f"; to take it back: oneiric unpin {short(key)}"
        return Late(
            f"no answer in time from {a_few(chosen.late)}; {key} stays {stands}, and is so as soon as it can be",
            hint=f"see: oneiric status --key {key}{back}",
        )
    return None


def _pinned(pin: Pin) -> str:
    return f"pinned to {pin.provider}" + (f" by {pin.mark.actor}" if pin.mark.actor else "")


def _failed(chosen: Chosen) -> list[tuple[str, str]]:
    return [(name, seen.told) for name, seen in sorted(chosen.did.items()) if seen.outcome in FAILED]


def _refused(chosen: Chosen) -> Refused:
    key, failed = chosen.choice.key, _failed(chosen)
    held = all(seen.outcome == "held" for seen in chosen.did.values() if seen.outcome in FAILED)
    serving = {chosen.serving(name) for name in chosen.did}
    still = f"{a_few(each or 'nobody' for each in serving)} serves still, and " if len(serving) == 1 else ""
    back = "nothing is pinned, as before"
    if chosen.before is not None:
        back = f"it is {_pinned(chosen.before)}, as before"
        if any(seen.outcome in FAILED for seen in chosen.now.values()):
            back += ", which does not come about either"  # whoever pinned it may have his reasons
    name, told = failed[0]
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    where = f" (in {name}{more})" if len(chosen.did) > 1 else ""
    late = f"; not yet in {a_few(chosen.late)}" if chosen.late else ""
    hint = f"{still}{back}{late}"
    if chosen.choice.provider is not None:
        word = f"swap {short(key)} {chosen.choice.provider} --override" if held else f"explain {short(key)}"
        hint += f"\n{'to pass it' if held else 'see'}: oneiric {word}"
    return Refused(f"{told}{where}", hint=hint)
