"""Scaffolds plugins from templates/plugin: common files, and one module per kind."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template

from .errors import UsageError
from .store import guarded

TEMPLATES = Path(__file__).parent / "templates" / "plugin"
KINDS = ("environment", "policy", "memory", "trainer", "method")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
SUFFIX = ".tmpl"
NEEDS = {  # distributions whose parts the template uses by name
    "trainer": ("skillbench-memory",),
    "method": ("skillbench-memory", "skillbench-methods"),
}
TRY = {  # what a run with it looks like
    "environment": "skillbench run --env {name}",
    "policy": "skillbench run --env ENVIRONMENT --policy {name}",
    "memory": "skillbench run --method METHOD --env ENVIRONMENT --set memory={name}",
    "trainer": "skillbench run --method {name} --env ENVIRONMENT",
    "method": "skillbench run --method {name} --env ENVIRONMENT",
}


def write(name: str, kind: str, folder: Path) -> Path:
    """Write a plugin of that name; return its folder. Raises UsageError, and RunDirError.

    The import name is skillbench_NAME, the distribution skillbench-NAME, the entry point NAME.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise UsageError(
            f"{name!r} cannot be the name of a plugin: use lower-case letters, digits and "
            "underscores, beginning with a letter, and no word of Python's own"
        )
    if kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r}; kinds: {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty: choose another place with --dir")
    words = {
        "name": name,
        "module": f"skillbench_{name}",
        "distribution": f"skillbench-{name.replace('_', '-')}",
        "title": "".join(part.capitalize() for part in name.split("_")),
        "kind": kind,
        "try": TRY[kind].format(name=name),
        "extra": "".join(f', "{name}"' for name in NEEDS.get(kind, ())),
    }
    for source in (TEMPLATES / "common", TEMPLATES / kind):
        for path in sorted(p for p in source.rglob(f"*{SUFFIX}")):
            relative = Template(str(path.relative_to(source)).removesuffix(SUFFIX))
            target = folder / relative.substitute(words)
            text = Template(path.read_text(encoding="utf-8")).substitute(words)
            with guarded(target, folder):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    return folder
