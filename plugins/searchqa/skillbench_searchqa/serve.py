"""`skillbench searchqa serve`: a local index over Search-R1's /retrieve, in both dialects.

POST /retrieve takes `{"queries": [...]}` or `{"query": "..."}`, with `topk` and `return_scores`,
and answers `{"result": [[{"document": {"id", "title", "text", "contents"}, "score"}, ...], ...]}`;
with `return_scores` false, documents alone. GET /health says what is served. The server listens on
this machine alone unless told otherwise: it has neither passwords nor limits on who asks.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from skillbench.errors import UsageError

from . import cache, data, retrievers, sources
from .retrievers import Retriever

Handler = Callable[[argparse.Namespace], int]
MAX_BODY, MAX_QUERIES, MAX_TOPK = 8 << 20, 1024, 100


def command(parser: argparse.ArgumentParser) -> Handler:
    """Arguments of `skillbench searchqa`."""
    parser.add_argument("action", choices=("serve",), help="what to do")
    parser.add_argument("--source", default="mini", help="generated, mini (default) or official")
    parser.add_argument("--split", default="test", help="of the generated encyclopedia")
    parser.add_argument("--data", default="", metavar="DIR", help="default: SEARCHQA_DATA")
    parser.add_argument("--corpus", default="10k", help="of the mini set: 10k or 32k")
    parser.add_argument("--search", default="bm25", help=", ".join(retrievers.LOCAL))
    parser.add_argument("--cache", default="", metavar="DIR", help="where indexes are kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one")
    return run


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    if arguments.source not in sources.SOURCES:
        raise UsageError(f"--source is one of {', '.join(sources.SOURCES)}")
    texts = sources.passages(
        arguments.source, data.path(arguments.data), arguments.corpus, arguments.split
    )
    engine = retrievers.build(arguments.search, texts, cache.home(arguments.cache))
    about = f"{arguments.source} {arguments.search}, {len(texts)} passages"
    try:
        server = make_server(engine, about, arguments.host, arguments.port)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen on {arguments.host}:{arguments.port} ({error}); choose another --port"
        ) from None
    host, port = server.server_address[:2]
    sys.stdout.write(f"serving {about} on http://{host!s}:{port}/retrieve\n")
    sys.stdout.flush()
    with server:
        server.serve_forever()
    return 0


def make_server(
    engine: Retriever, about: str, host: str = "127.0.0.1", port: int = 0
) -> ThreadingHTTPServer:
    """A server that is ready to serve; `server.server_address` says where."""
    lock = threading.Lock()  # retrievers need not be safe for threads

    class Handling(BaseHTTPRequestHandler):
        """One request."""

        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            if self.path.partition("?")[0].rstrip("/") in ("", "/health"):
                self._send(200, {"status": "ok", "serves": about})
            else:
                self._send(404, {"error": "POST /retrieve, or GET /health"})

        def do_POST(self) -> None:
            if self.path.partition("?")[0].rstrip("/") not in ("", "/retrieve"):
                self.close_connection = True  # its body stays unread
                return self._send(404, {"error": "POST /retrieve"})
            try:
                length = int(self.headers.get("Content-Length") or "")
            except ValueError:
                length = -1
            if not 0 <= length <= MAX_BODY:
                self.close_connection = True
                return self._send(413, {"error": f"give 0 to {MAX_BODY} bytes of JSON"})
            try:
                queries, k, scores = read_request(self.rfile.read(length))
            except ValueError as error:
                return self._send(400, {"error": str(error)})
            with lock:
                found = engine.search(queries, k)
            self._send(200, {"result": [[_row(hit, scores) for hit in hits] for hits in found]})

        def _send(self, code: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: thousands of lines a minute would be no help."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server((host, port), Handling)


def _row(hit: Any, scores: bool) -> dict[str, Any]:
    p = hit.passage
    document = {"id": p.id, "title": p.title, "text": p.text, "contents": p.contents}
    return {"document": document, "score": hit.score} if scores else document


def read_request(body: bytes) -> tuple[list[str], int, bool]:
    """(queries, top k, whether scores are wanted). Raises ValueError that says what is wrong."""
    try:
        asked = json.loads(body)
    except ValueError:
        raise ValueError("the body is no JSON") from None
    if not isinstance(asked, dict):
        raise ValueError("the body is no JSON object")
    queries = asked.get("queries", asked.get("query"))
    if isinstance(queries, str):
        queries = [queries]
    if not isinstance(queries, list) or not all(isinstance(q, str) for q in queries):
        raise ValueError('give "queries" (a list of texts) or "query" (a text)')
    if len(queries) > MAX_QUERIES:
        raise ValueError(f"at most {MAX_QUERIES} queries in one request")
    k = asked.get("topk")
    k = 3 if k is None else k
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MAX_TOPK:
        raise ValueError(f"topk is a number from 1 to {MAX_TOPK}")
    return queries, k, bool(asked.get("return_scores", True))
