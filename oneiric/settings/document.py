"""JSON Schema of a whole file of settings, given what is plugged in: for editors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from oneiric_hookspecs import Candidate, Domain, Key

from .binding import Catalogue
from .described import meanings
from .layers import PROFILE
from .profiles import BUILT_IN
from .schema import DRAFT, FREE_KEYS, NAMES, Schema, Schemas
from .sections import FIXED
from .streams import Stream

_PROVIDER: Schema = {"type": "string", "pattern": NAMES}


def document_schema(
    domains: Iterable[Domain],
    candidates: Iterable[Candidate],
    plugins: Mapping[str, type | None],
    *,
    may_come: bool = False,
) -> Schema:
    """The schema of ``oneiric.toml``.

    Nothing in it is required: what one file does not say may stand in another, in a profile, or in the environment.

    Args:
        domains: Those that are plugged in.
        candidates: Those that are.
        plugins: Those that take settings, with their class; None where it is not known.
        may_come: Whether there are plugins that are not loaded, so that nobody knows all that there may be.
    """
    schemas = Schemas(partial=True)
    catalogue = Catalogue.of(domains, candidates)
    open_ = True if may_come else False  # noqa: SIM210 - in a schema it means: whatever else
    sections = {name: _fixed(name, cls, schemas, plugins, open_=open_) for name, cls in FIXED.items()}
    sections |= {plural: _domain(plural, catalogue, schemas, open_=open_) for plural in catalogue.domains}
    referred = {name: {"$ref": f"#/$defs/section-{name}"} for name in sections}
    layer = _object(referred, additional=open_)
    profiles = _object(
        {name: {"$ref": "#/$defs/layer"} for name in BUILT_IN}, additional={"$ref": "#/$defs/layer"}
    )
    return {
        "$schema": DRAFT,
        "title": "Settings of Oneiric",
        **_object(referred | {PROFILE: profiles}, additional=open_),
        "$defs": {
            "layer": layer,
            **{f"section-{name}": schema for name, schema in sections.items()},
            **schemas.defs,
        },
    }


def _object(properties: Mapping[str, Any], *, additional: Any, about: str = "") -> Schema:
    return {
        "type": "object",
        **({"description": about} if about else {}),
        "properties": dict(properties),
        "patternProperties": dict(FREE_KEYS),
        "additionalProperties": additional,
    }


def _fixed(
    name: str, cls: Any, schemas: Schemas, plugins: Mapping[str, type | None], *, open_: bool
) -> Schema:
    if name == "secrets":
        source = {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*:."}
        return _object({}, additional=source, about="[secrets]: where each comes from, by name.")
    if name == "remote":
        stream = {
            "patternProperties": {**FREE_KEYS, NAMES: schemas.of(Stream)},
            "additionalProperties": False,
        }
        return {"type": "object", "description": "[remote.NAME]: streams of candidates.", **stream}
    schema = schemas.of(cls)
    fields = schema["properties"]
    if name == "plugins":
        own = {plugin: {} if cls is None else schemas.of(cls) for plugin, cls in plugins.items()}
        fields["settings"] = _object(own, additional=open_, about="[plugins.settings.NAME]: of one plugin.")
    elif name == "resolver":
        fields["stack_order"] = {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "integer"}},
            ],
            "description": meanings(cls)["stack_order"],
        }
    elif name == "lifecycle":
        limits = fields["keys"]["additionalProperties"]
        keys = {
            "patternProperties": {**FREE_KEYS, schemas.of(Key)["pattern"]: limits},
            "additionalProperties": False,
        }
        fields["keys"] = {"type": "object", "description": meanings(cls)["keys"], **keys}
    return schema


def _domain(plural: str, catalogue: Catalogue, schemas: Schemas, *, open_: bool) -> Schema:
    known = catalogue.candidates[plural]
    selections = {
        name: {"anyOf": [{"enum": sorted(providers)}, _PROVIDER]} for name, providers in known.items()
    }
    settings: dict[str, Schema] = {}
    for name, providers in sorted(known.items()):
        tables = {provider: _table(some, schemas) for provider, some in sorted(providers.items())}
        if catalogue.by_key(plural):
            settings[name] = _table([each for some in providers.values() for each in some], schemas)
        else:
            settings[name] = _object(tables, additional=open_)
    parts = {
        # A selection of what is not there is a warning, and may be right on another machine.
        "selections": _object(selections, additional=_PROVIDER, about="The provider chosen for a name."),
        "settings": _object(settings, additional=open_, about="Tables of settings."),
    }
    return _object(parts, additional=False, about=catalogue.domains[plural].summary)


def _table(candidates: Iterable[Candidate], schemas: Schemas) -> Schema:
    """What a table for any of *candidates* may be."""
    classes = dict.fromkeys(each.settings_class for each in candidates if each.settings_class is not None)
    arms = [schemas.of(cls) for cls in classes]
    if not arms:
        return {"not": {}, "description": "takes no settings"}
    return arms[0] if len(arms) == 1 else {"anyOf": arms}
