"""A strict check of a teacher's answer against a JSON schema: the subset that the schemas here use.

Own code instead of a dependency: type, enum, required, properties, additionalProperties (false),
items, minItems, maxItems, minLength and maxLength. The message says where and what, because it is
fed back to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
    "null": type(None),
}


def check(value: Any, schema: Mapping[str, Any], where: str = "the answer") -> str | None:
    """Return None if `value` fits `schema`, else a sentence about the first thing that does not."""
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        fits = any(isinstance(value, _TYPES[k]) for k in kinds)
        if isinstance(value, bool) and "boolean" not in kinds:
            fits = False
        if not fits:
            return f"{where} must be {' or '.join(kinds)}, not {type(value).__name__}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {schema['enum']}, not {value!r}"
    if isinstance(value, str):
        text = value.strip()
        if len(text) < schema.get("minLength", 0):
            return f"{where} is too short"
        if len(text) > schema.get("maxLength", len(text)):
            return f"{where} has {len(text)} characters; at most {schema['maxLength']} are allowed"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return f"{where} has {len(value)} items; at least {schema['minItems']} are needed"
        if len(value) > schema.get("maxItems", len(value)):
            return f"{where} has {len(value)} items; at most {schema['maxItems']} are allowed"
        for i, item in enumerate(value):
            fault = check(item, schema.get("items", {}), f"{where}[{i}]")
            if fault:
                return fault
    if isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                return f"{where} lacks {key!r}"
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is False:
            extra = sorted(set(value) - set(known))
            if extra:
                return f"{where} has unknown keys: {', '.join(extra)}"
        for key, sub in known.items():
            if key in value:
                fault = check(value[key], sub, f"{where}.{key}")
                if fault:
                    return fault
    return None
