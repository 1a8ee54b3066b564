"""Search speed and recall on the mini set: `make bench`.

Per retriever: queries a second of CPU time (one by one, the corpus loaded and indexed before) and
the share of marked passages among the first 3, 5 and 10, over the 500 questions whose authors
marked any. Vectors are made at the first use, some ten minutes for 10,000 passages; `--quick`
leaves out what needs them. Without the mini set: BM25 alone, on the generated encyclopedia.

    SEARCHQA_DATA=DIR python plugins/searchqa/bench.py [--quick] [--corpus 10k] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from skillbench_searchqa import cache, corpus, data, retrievers
from skillbench_searchqa.encyclopedia.volume import volume

from skillbench.errors import PluginError

DEPTHS = (3, 5, 10)


def measure(engine: Any, questions: list[tuple[str, set[str]]]) -> dict[str, float]:
    """Queries a second, and recall at each depth, in per cent."""
    engine.search([questions[0][0]], 10)  # what is loaded at the first use
    begin = time.process_time()
    found = [engine.search([text], 10)[0] for text, _ in questions]
    spent = time.process_time() - begin
    out = {"queries_per_s": round(len(questions) / spent)}
    marked = [(gold, hits) for (_, gold), hits in zip(questions, found) if gold]
    for k in DEPTHS:
        shares = [len(gold & {h.passage.id for h in hits[:k]}) / len(gold) for gold, hits in marked]
        out[f"recall@{k}"] = round(100 * sum(shares) / len(shares), 1)
    return out


def mini(size: str) -> tuple[list[tuple[str, set[str]]], tuple[corpus.Passage, ...]]:
    """Questions with the ids of their marked passages, and the corpus."""
    home = data.path()
    rows = data.rows(home / data.MINI_QUESTIONS, data.MEND_MINI)
    questions = [(row["question"], set(row["gold_ids"])) for row in rows]
    return questions, tuple(corpus.read(home / f"corpus_{size}.jsonl.gz"))


def generated() -> tuple[list[tuple[str, set[str]]], tuple[corpus.Passage, ...]]:
    """The same of the encyclopedia's test volume: names alone as queries."""
    book = volume("test")
    ids = {p.text: p.id for p in book.passages}
    facts = [f for i in range(400) for f in book.question(i).path]
    return [(f.entity, {ids[f.sentence]}) for f in facts], book.passages


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--corpus", default="10k", choices=("10k", "32k"))
    parser.add_argument("--quick", action="store_true", help="no vectors")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)

    there = (data.path() / data.MINI_QUESTIONS).is_file()
    questions, passages = mini(args.corpus) if there else generated()
    names = ["bm25"] if not there else ["bm25", "fts"] + ["vector", "hybrid"] * (not args.quick)
    what = f"mini set, {len(passages):,} passages" if there else "generated encyclopedia (no mini)"
    rows: dict[str, Any] = {}
    for name in names:
        try:
            rows[name] = measure(retrievers.build(name, passages, cache.home()), questions)
        except PluginError as error:
            rows[name] = {"not_measured": str(error)}
    if args.json:
        sys.stdout.write(json.dumps({"corpus": what, "retrievers": rows}) + "\n")
        return 0
    sys.stdout.write(f"searchqa retrievers on the {what}; {len(questions)} queries, CPU time\n")
    for name, row in rows.items():
        said = row.get("not_measured") or (
            f"{row['queries_per_s']:>7,} queries/s   recall "
            + "  ".join(f"@{k} {row[f'recall@{k}']:.1f} %" for k in DEPTHS)
        )
        sys.stdout.write(f"  {name:<8} {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
