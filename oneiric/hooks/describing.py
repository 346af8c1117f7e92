"""Hooks as people see them: what each is, who implements it, and in which order they are asked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import Form, Spec

from .lint import where
from .records import HookDescription, Impl, ImplDescription
from .relay import Hook

_SINCE = re.compile(r"^Since:\s*(\S+)", re.MULTILINE)


def describe(hook: Hook[..., Any], now: Callable[[], float]) -> HookDescription:
    """*hook*, its implementations in the order in which they are asked."""
    spec: Spec[Any, Any, Any] = hook.spec
    text = inspect.cleandoc(spec.function.__doc__ or "")
    since = _SINCE.search(text)
    return HookDescription(
        name=spec.name,
        form=spec.form,
        is_async=spec.is_async,
        summary=" ".join(text.partition("\n\n")[0].split()),
        since=since and since[1],
        deprecated=spec.deprecated,
        answer="None" if spec.answer is type(None) else getattr(spec.answer, "__name__", str(spec.answer)),
        implementations=tuple(_describe(impl, spec.form, now) for impl in hook.impls),
    )


def _describe(impl: Impl, form: Form, now: Callable[[], float]) -> ImplDescription:
    skipped = bool(impl.until) and now() < impl.until
    why = {
        "tryfirst": "before the others: it is marked tryfirst",
        "trylast": "after the others: it is marked trylast",
        "-": f"registered as number {impl.record.sequence}; the "
        + ("oldest" if form is Form.DECLARES else "newest")
        + " is asked first",
    }[impl.mark]
    if skipped:
        why += f"; skipped for now, after {impl.strikes} faults in a row"
    record = impl.record
    return ImplDescription(
        impl.plugin, record.origin, record.distribution, where(impl.function), impl.mark, why, skipped
    )
