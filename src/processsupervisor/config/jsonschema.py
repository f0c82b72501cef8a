"""The JSON Schema (2020-12) of fleet.toml, made from the models of the schema, for editors that complete and check while one types.

It refuses nothing that the loader takes; the loader refuses more (rules between keys, files that are not there). Beside the standard
words each key carries `x-effect`: what a change of it asks of a running bot.
"""

from __future__ import annotations

import tomllib
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from processsupervisor.config import forms
from processsupervisor.config.forms import Form
from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.schema import SECTIONS, BotTable, ScopeTable
from processsupervisor.config.tables import Table
from processsupervisor.config.values import Also, Label
from processsupervisor.kernel.paths import BOT_NAME_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMED: dict[str, tuple[type[Table], str]] = {
    "types": (ScopeTable, "Templates of bots: [types.NAME]"),
    "bots": (BotTable, "The bots: [bots.NAME]"),
    "notify": (NotifyTable, "Channels that are told of trouble: [notify.NAME]"),
}
_TYPES: dict[object, Form] = {str: forms.TEXT, bool: forms.FLAG, int: forms.WHOLE, float: forms.NUMBER, object: {}}


def json_schema() -> Form:
    """Return the schema of a whole file. No table is required in it: a file that another one includes may hold a few bots only."""
    tables: dict[str, Form] = {}
    properties = {name: {"description": _line(model), **_reference(model, tables)} for name, model in SECTIONS.items()}
    for name, (model, text) in _NAMED.items():
        pattern = {f"^{BOT_NAME_PATTERN}$": _reference(model, tables)}
        properties[name] = {"type": "object", "description": text, "patternProperties": pattern, "additionalProperties": False}
    return {
        "$schema": DIALECT,
        "title": "fleet.toml",
        "description": "A fleet of bots that psv runs. `psv check` says more than this schema can.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(tables.items())),
    }


def _reference(model: type[Table], tables: dict[str, Form]) -> Form:
    """Return a reference to the form of `model`, which is put into `tables`."""
    name = model.__name__.removesuffix("Table")
    if name not in tables:
        tables[name] = {}  # taken before its keys are looked at
        fields = model.model_fields.items()
        tables[name] = {
            "type": "object",
            "description": _line(model),
            "properties": {key: _key(info, tables) for key, info in fields},
            "additionalProperties": False,
        }
        if needed := [key for key, info in fields if info.is_required()]:
            tables[name]["required"] = needed
    return {"$ref": f"#/$defs/{name}"}


def _line(model: type[Table]) -> str:
    return (model.__doc__ or "").split("\n")[0]


def _key(info: FieldInfo, tables: dict[str, Form]) -> Form:
    form = _limited(_form(info.annotation, info.metadata, tables), info)
    described = {**form, "description": " - ".join(text for text in (info.description, form.get("description")) if text)}
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    if "effect" in extra:
        described["x-effect"] = extra["effect"]
    try:
        described["default"] = tomllib.loads(f"value = {extra.get('shown')}")["value"]
    except tomllib.TOMLDecodeError:
        pass  # a default in words
    return described


def _form(annotation: Any, metadata: list[Any], tables: dict[str, Form]) -> Form:
    """Return the form of a value: the one its kind brings along, else that of its Python type."""
    if hasattr(annotation, "__metadata__"):
        return _form(annotation.__origin__, list(annotation.__metadata__), tables)
    form = next((part.form for part in metadata if isinstance(part, Label) and part.form is not None), None)
    if form is None:
        form = _form_of_type(annotation, tables)
    others = [part.form for part in metadata if isinstance(part, Also)]
    return {"anyOf": [form, *others]} if others else dict(form)


def _form_of_type(annotation: Any, tables: dict[str, Form]) -> Form:
    origin, arguments = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return _reference(annotation, tables)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, UnionType):
        variants = [_form(part, [], tables) for part in arguments]
        return variants[0] if len(variants) == 1 else {"anyOf": variants}
    if origin is list:
        return forms.listed(_form(arguments[0], [], tables))
    if origin is dict:
        names, values = (_form(part, [], tables) for part in arguments)
        return {"type": "object", "propertyNames": names, "additionalProperties": values or True}
    return _TYPES[annotation]


def _limited(form: Form, info: FieldInfo) -> Form:
    """Return `form` with the limits of the key, where they say something: of a size written as text they do not."""
    limits = {name: getattr(part, name) for part in info.metadata for name in ("ge", "le", "max_length") if hasattr(part, name)}
    words = {"ge": "minimum", "le": "maximum"} if form.get("type") != "array" else {"max_length": "maxItems"}
    found = {word: limits[name] for name, word in words.items() if name in limits}
    if not found:
        return form
    if "anyOf" not in form:
        return form | found
    return form | {"anyOf": [part | found if part.get("type") in ("integer", "number") else part for part in form["anyOf"]]}
