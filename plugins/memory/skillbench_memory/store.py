"""The LanceDB table behind a bank: storage, full-text search and vector search.

The bank keeps its entries in memory and is the authority; the table mirrors it and is written in
one merge per update (10-20 ms for 60 entries). Searching goes through LanceDB; showing skills by
task type needs no search and never touches it. LanceDB is imported at the first write, since that
costs more than a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, PluginError
from skillbench.records import Skill, to_json

TABLE = "skills"


def searchable(skill: Skill) -> str:
    """What search reads of a skill: title, principle and when to apply it (SkillRL's choice)."""
    parts = (skill.title, skill.principle, skill.when_to_apply)
    return ". ".join(part.rstrip(".") for part in parts if part)


class Store:
    """One table of skills. `directory` "" means a temporary one, removed by `close()`."""

    def __init__(self, directory: str = "") -> None:
        self.directory = directory
        self._table: Any = None
        self._full_text = False
        self._remove: weakref.finalize | None = None

    def sync(
        self,
        skills: Sequence[Skill],
        vectors: Mapping[str, Any] | None = None,
        *,
        full_text: bool = False,
    ) -> None:
        """Make the table hold exactly these skills.

        `vectors` maps each id to its unit vector and makes the table searchable by vector;
        `full_text` builds the BM25 index.
        """
        if not skills and self._table is None:
            return
        rows = [self._row(skill, vectors) for skill in skills]
        with self._writing():
            table = self._open(len(next(iter(vectors.values()))) if vectors else 0)
            if rows:
                merge = table.merge_insert("id").when_matched_update_all()
                merge = merge.when_not_matched_insert_all().when_not_matched_by_source_delete()
                merge.execute(rows)
            else:
                table.delete("true")
            self._full_text = full_text and bool(rows)
            if self._full_text:
                from lancedb.index import FTS

                # Rebuilt as a whole: a bank is small, and scores never depend on its history.
                config = FTS(stem=True, remove_stop_words=True)
                table.create_index("text", config=config, replace=True)

    def search_text(self, query: str, limit: int) -> dict[str, float]:
        """BM25 scores by id; entries without a common word are absent."""
        if not self._full_text or not any(c.isalnum() for c in query):
            return {}
        found = self._table.search(query, query_type="fts").select(["id", "_score"])
        return {row["id"]: float(row["_score"]) for row in found.limit(limit).to_list()}

    def search_vector(self, vector: Any, limit: int) -> dict[str, float]:
        """Cosine similarity by id, in [-1, 1], for the `limit` nearest entries (exact search)."""
        if self._table is None or not self._table.count_rows():
            return {}
        found = self._table.search(vector, vector_column_name="vector").distance_type("cosine")
        rows = found.select(["id", "_distance"]).limit(limit).to_list()
        return {row["id"]: 1.0 - float(row["_distance"]) for row in rows}

    def ids(self) -> list[str]:
        """Ids in the table, sorted."""
        return sorted(self._table.to_arrow()["id"].to_pylist()) if self._table is not None else []

    def close(self) -> None:
        """Close the table; a temporary directory goes with it."""
        self._table = None
        if self._remove is not None:
            self._remove()

    def _open(self, dimensions: int) -> Any:
        if self._table is not None:
            return self._table
        os.environ.setdefault("LANCEDB_LOG", "error")  # its warnings would land between our lines
        try:
            import lancedb
            import pyarrow as pa
        except ImportError as error:
            raise PluginError(
                f"the skill bank needs LanceDB ({error}); run: pip install skillbench-memory"
            ) from error
        directory = self.directory
        if not directory:
            directory = tempfile.mkdtemp(prefix="skillbench-bank-")
            self._remove = weakref.finalize(self, shutil.rmtree, directory, True)
        columns = [(name, pa.string()) for name in ("id", "kind", "task_type", "text", "record")]
        if dimensions:
            columns.append(("vector", pa.list_(pa.float32(), dimensions)))
        Path(directory).mkdir(parents=True, exist_ok=True)
        connection = lancedb.connect(directory)
        schema = pa.schema(columns)
        self._table = connection.create_table(TABLE, schema=schema, mode="overwrite")
        return self._table

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # LanceDB reports a full disk as RuntimeError
            reason = str(error).splitlines()[0].split(", /")[0]
            raise DataError(
                f"the skill bank cannot be stored in {self.directory or tempfile.gettempdir()}: "
                f"{reason}; set memory.directory to a place with room that can be written"
            ) from error

    @staticmethod
    def _row(skill: Skill, vectors: Mapping[str, Any] | None) -> dict[str, Any]:
        row = {
            "id": skill.id,
            "kind": skill.kind,
            "task_type": skill.task_type or "",
            "text": searchable(skill),
            "record": json.dumps(to_json(skill), ensure_ascii=False),
        }
        if vectors:
            row["vector"] = vectors[skill.id]
        return row
