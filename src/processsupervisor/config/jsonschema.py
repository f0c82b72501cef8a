"""The JSON Schema (2020-12) of fleet.toml, made from the models of the schema, for editors that complete and check while one types.

It refuses nothing that the loader takes; the loader refuses more (rules between keys, files that are not there). Beside the standard
words each key carries `x-effect`: what a change of it asks of a running bot.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from processsupervisor.config import forms
from processsupervisor.config.forms import Form
from processsupervisor.config.notices import NotifyTable
from processsupervisor.config.schema import SECTIONS, BotTable, ScopeTable, TypeTable
from processsupervisor.config.tables import Table
from processsupervisor.config.values import Also, Label
from processsupervisor.kernel.paths import BOT_NAME_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = f"^{BOT_NAME_PATTERN}$"
_TEMPLATE = r"^[a-z0-9_-]*(\{n(:0[0-9]{1,2})?\}[a-z0-9_-]*)+$"
_OF_TEMPLATES = ("count", "first")
_INCLUDE: Form = {
    "description": 'Further files, relative to this one: "bots.d/*.toml"; in the first line of the file, before any table',
    **forms.listed(forms.FILLED),
}
_TYPES: dict[object, Form] = {str: forms.TEXT, bool: forms.FLAG, int: forms.WHOLE, float: forms.NUMBER, object: {}}


def json_schema() -> Form:
    """Return the schema of a whole file. No table is required in it: a file that another one includes may hold a few bots only."""
    plain = _Writer()
    scope = replace(plain, placeholders=({"const": "..."},))
    template = replace(scope, suffix="Template", placeholders=(*scope.placeholders, forms.text("[{}]")))
    properties: dict[str, Form] = {"include": _INCLUDE}
    for name, model in SECTIONS.items():
        writer = scope if model is ScopeTable else plain
        properties[name] = {"description": _line(model), **writer.reference(model)}
    bots = {_PLAIN: scope.reference(BotTable, without=_OF_TEMPLATES), _TEMPLATE: template.reference(BotTable, needed=_OF_TEMPLATES[:1])}
    properties["types"] = _named("Templates of bots: [types.NAME]", {_PLAIN: scope.reference(TypeTable)})
    properties["bots"] = _named('The bots: [bots.NAME], or [bots."NAME-{n}"] with a count', bots)
    properties["notify"] = _named("Channels that are told of trouble: [notify.NAME]", {_PLAIN: plain.reference(NotifyTable)})
    return {
        "$schema": DIALECT,
        "title": "fleet.toml",
        "description": "A fleet of bots that psv runs. `psv check` says more than this schema can.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(plain.tables.items())),
    }


def _named(text: str, patterns: dict[str, Form]) -> Form:
    return {"type": "object", "description": text, "patternProperties": patterns, "additionalProperties": False}


def _line(model: type[Table]) -> str:
    return (model.__doc__ or "").split("\n")[0]


@dataclass(frozen=True)
class _Writer:
    """Writes the tables of one kind of place into `tables`, which all kinds share.

    `placeholders` may stand in place of a value: "..." as an element of a list of a scope, variables in a template of bots too.
    """

    tables: dict[str, Form] = field(default_factory=dict)
    suffix: str = ""
    placeholders: tuple[Form, ...] = ()

    def reference(self, model: type[Table], *, without: tuple[str, ...] = (), needed: tuple[str, ...] = ()) -> Form:
        """Return a reference to the form of `model`, which is put into the tables."""
        name = model.__name__.removesuffix("Table") + self.suffix
        if name not in self.tables:
            fields = {key: info for key, info in model.model_fields.items() if key not in without}
            table: Form = {"type": "object", "description": _line(model)}
            self.tables[name] = table
            table["properties"] = {key: self._key(info) for key, info in fields.items()}
            table["additionalProperties"] = False
            if required := [key for key, info in fields.items() if info.is_required() or key in needed]:
                table["required"] = required
        return {"$ref": f"#/$defs/{name}"}

    def _key(self, info: FieldInfo) -> Form:
        form = _limited(self._form(info.annotation, info.metadata), info)
        described = {**form, "description": " - ".join(text for text in (info.description, form.get("description")) if text)}
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        if "effect" in extra:
            described["x-effect"] = extra["effect"]
        try:
            described["default"] = tomllib.loads(f"value = {extra.get('shown')}")["value"]
        except tomllib.TOMLDecodeError:
            pass  # a default in words
        if len(self.placeholders) < 2 or "$ref" in form or form.get("type") == "array":
            return described
        about = {word: described.pop(word) for word in ("description", "x-effect", "default") if word in described}
        return about | {"anyOf": [described, *self.placeholders[1:]]}

    def _form(self, annotation: Any, metadata: list[Any]) -> Form:
        """Return the form of a value: the one its kind brings along, else that of its Python type."""
        if hasattr(annotation, "__metadata__"):
            return self._form(annotation.__origin__, list(annotation.__metadata__))
        form = next((part.form for part in metadata if isinstance(part, Label) and part.form is not None), None)
        if form is None:
            form = self._form_of_type(annotation)
        others = [part.form for part in metadata if isinstance(part, Also)]
        return {"anyOf": [form, *others]} if others else dict(form)

    def _form_of_type(self, annotation: Any) -> Form:
        origin, arguments = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
        if isinstance(annotation, type) and issubclass(annotation, Table):
            return self.reference(annotation)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (Union, UnionType):
            variants = [self._form(part, []) for part in arguments]
            return variants[0] if len(variants) == 1 else {"anyOf": variants}
        if origin is list:
            item = self._form(arguments[0], [])
            return forms.listed({"anyOf": [item, *self.placeholders]} if self.placeholders else item)
        if origin is dict:
            names, values = (self._form(part, []) for part in arguments)
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
