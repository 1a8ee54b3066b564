"""Any server that speaks Search-R1's `/retrieve`, over HTTP.

Two dialects are in use: Search-R1's `{"queries": [...], "topk", "return_scores"}`, one list of
hits per query, and SkillRL's `{"query": "...", ...}`, one query a call. The first is tried first;
a server that refuses it (a 4xx answer) is spoken to in the second from then on. Hits may be
`{"document": {...}, "score"}` or documents alone; tags are taken out of what comes back.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from skillbench.errors import EnvironmentFault, UsageError

from ..corpus import passage
from . import Hit

MAX_BYTES = 16 << 20
TRIES = 3


class Http:
    """A client of one server."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(
                f"env.url is {url!r}; env.search=http needs an address such as "
                "--set env.url=http://127.0.0.1:8000/retrieve"
            )
        self.url = url if parts.path.strip("/") else url.rstrip("/") + "/retrieve"
        self._timeout = timeout_s
        self._many = True  # whether the server takes `queries`
        self._lock = threading.Lock()

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See the package. Raises EnvironmentFault when the server cannot be used."""
        if not queries:
            return []
        if self._many:
            try:
                rows = self._ask({"queries": list(queries)}, k)
                if len(rows) != len(queries):
                    raise self._fault(f"gave {len(rows)} results to {len(queries)} queries")
                return [self._hits(row)[:k] for row in rows]
            except urllib.error.HTTPError as error:
                if not 400 <= error.code < 500:
                    raise self._fault(f"answered {error.code}") from None
                with self._lock:
                    self._many = False
        try:
            rows = [self._ask({"query": query}, k) for query in queries]
        except urllib.error.HTTPError as error:
            raise self._fault(f"answered {error.code} to both dialects") from None
        # One query's hits, nested as for many; some servers leave the outer list out.
        return [self._hits(row[0] if row and isinstance(row[0], list) else row)[:k] for row in rows]

    def _ask(self, fields: dict[str, Any], k: int) -> list[Any]:
        body = json.dumps({**fields, "topk": k, "return_scores": True}).encode()
        request = urllib.request.Request(
            self.url, body, {"Content-Type": "application/json", "Accept": "application/json"}
        )
        reason: object = ""
        for _ in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as response:
                    answer = response.read(MAX_BYTES + 1)
                break
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
                reason = f"it answered {error.code}"
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", error)
        else:
            raise self._fault(f"could not be reached ({reason})")
        if len(answer) > MAX_BYTES:
            raise self._fault("answered with more than 16 MiB")
        try:
            result = json.loads(answer)["result"]
        except (ValueError, KeyError, TypeError):
            raise self._fault('gave no JSON object with "result"') from None
        if not isinstance(result, list):
            raise self._fault('gave a "result" that is no list')
        return result

    def _hits(self, rows: Any) -> list[Hit]:
        hits = []
        for row in rows if isinstance(rows, list) else []:
            document = row.get("document", row) if isinstance(row, dict) else {"contents": row}
            if isinstance(document, str):
                document = {"contents": document}
            if not isinstance(document, dict):
                raise self._fault("gave a document that is neither an object nor text")
            fields = {
                name: document[name]
                for name in ("title", "text", "contents")
                if isinstance(document.get(name), str)
            }
            if not fields:
                raise self._fault("gave a document without contents")
            score = row.get("score", 0.0) if isinstance(row, dict) else 0.0
            score = float(score) if isinstance(score, (int, float)) else 0.0
            hits.append(Hit(passage(str(document.get("id", "")), **fields), score))
        return hits

    def _fault(self, what: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"the search server {self.url} {what}; start one with `skillbench searchqa serve`, or "
            "name another with --set env.url=URL"
        )
