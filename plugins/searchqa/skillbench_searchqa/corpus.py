"""Passages and the files that hold them: JSON lines, plain or gzipped, in Search-R1's form.

A line has `id` and either `contents` ('"Title"' on the first line, the text below it, as in
wiki-18) or `title` and `text`. Tags are taken out of titles and texts here, once: the score is read
off tags of the transcript, and a passage must not be able to write them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skillbench.errors import DataError

# Everything that the agent, the environment or a chat template could take for its own.
TAGS = re.compile(
    r"</?\s*(?:search|answer|think|action|information|result|tool_call|tool_response)\b[^<>]{0,80}>"
    r"|<\|[^<>|]{0,40}\|>",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable unit of text."""

    id: str
    title: str
    text: str

    @property
    def contents(self) -> str:
        """Title and text in Search-R1's form; what every retriever indexes."""
        return f'"{self.title}"\n{self.text}' if self.title else self.text


def clean(text: str) -> str:
    """Take tags out until none is left: what remains of nested ones may be a tag again."""
    while "<" in text:
        shorter = TAGS.sub(" ", text)
        if shorter == text:
            break
        text = shorter
    return text


def passage(id: str, *, title: str = "", text: str = "", contents: str = "") -> Passage:
    """Make a passage of its fields, or of `contents` alone, without tags."""
    if contents and not text:
        head, newline, rest = contents.partition("\n")
        if newline:
            title, text = title or head.strip().strip('"'), rest
        else:
            text = contents
    return Passage(id, clean(title).strip(), clean(text).strip())


def read(file: Path) -> Iterator[Passage]:
    """Read passages from a file. Raises DataError that names the file and the line."""
    number = 0
    try:
        with _open(file) as lines:
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                row = json.loads(line)
                yield passage(
                    str(row["id"]),
                    title=row.get("title") or "",
                    text=row.get("text") or "",
                    contents=row.get("contents") or "",
                )
    except FileNotFoundError:
        raise DataError(f"no passages: {file} does not exist") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); it is damaged") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file}, line {number}: not a passage "
            f"({type(error).__name__}: {error}); the file is damaged"
        ) from None


def _open(file: Path):
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8")
    return file.open(encoding="utf-8")


def digest(passages: Iterable[Passage]) -> str:
    """Digest of what is indexed: ids, titles and texts, in order."""
    found = hashlib.sha256()
    for p in passages:
        found.update("\x1f".join((p.id, p.title, p.text)).encode("utf-8", "replace"))
        found.update(b"\x1e")
    return found.hexdigest()
