"""The JSON schema of result.json, and a check of the part of JSON Schema that it uses.

A dependency-free check, so that the leaderboard can refuse a bad result anywhere: `type`, `enum`,
`required`, `properties`, `additionalProperties`, `items`, `minItems`, `maxItems`, `minimum`,
`maximum` and `$ref` into `$defs`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


@functools.cache
def result_schema() -> Mapping[str, Any]:
    """The schema of result.json."""
    path = Path(__file__).parent / "result.schema.json"
    return json.loads(path.read_text(encoding="utf-8"))


def problems(value: Any, schema: Mapping[str, Any] | None = None) -> list[str]:
    """What is wrong with a result, one line per fault; empty if nothing is."""
    schema = schema or result_schema()
    return list(_faults(value, schema, schema, "result"))


def _faults(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is(value, name) for name in wanted):
            yield f"{at} is {type(value).__name__}, not {' or '.join(wanted)}"
            return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, not one of {schema['enum']}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            yield f"{at} is {value}, less than {schema['minimum']}"
        if "maximum" in schema and value > schema["maximum"]:
            yield f"{at} is {value}, more than {schema['maximum']}"
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for key in schema.get("required", ()):
            if key not in value:
                yield f"{at}.{key} is missing"
        rest = schema.get("additionalProperties", True)
        for key, item in value.items():
            if key in known:
                yield from _faults(item, known[key], root, f"{at}.{key}")
            elif rest is False:
                yield f"{at}.{key} is unknown"
            elif isinstance(rest, Mapping):
                yield from _faults(item, rest, root, f"{at}.{key}")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            yield f"{at} has {len(value)} items"
        if "items" in schema:
            for i, item in enumerate(value):
                yield from _faults(item, schema["items"], root, f"{at}[{i}]")


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])
