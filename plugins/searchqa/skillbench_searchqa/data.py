"""Where questions and passages lie: the mini set, and the official sets and corpus.

`path` is `env.data`, else SEARCHQA_DATA, else the folder that `skillbench data fetch searchqa`
fills. Layouts: the mini set is DIR/questions.jsonl with DIR/corpus_10k.jsonl.gz (or 32k); the
official files are DIR/official/SET.SPLIT.jsonl in FlashRAG's form and DIR/official/wiki-18.jsonl.gz
(Search-R1's corpus).

The publishers name no checksums. The first fetch therefore writes down what it got
(official/sha256.json) and `verify` compares with that, counts the questions against the published
numbers, and reads every line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillbench.errors import DataError
from skillbench.fetch import Progress, Remote, download, home, sha256

OFFICIAL = "official"
MINI_QUESTIONS = "questions.jsonl"
CORPUS = "wiki-18.jsonl.gz"
SUMS = "sha256.json"
FETCH = "run `skillbench data fetch searchqa`"
MEND_MINI = (
    "set SEARCHQA_DATA (or env.data) to a folder with an undamaged copy of questions.jsonl and "
    "corpus_10k.jsonl.gz, or play the generated encyclopedia with --set env.source=generated"
)

_SETS = "https://huggingface.co/datasets/RUC-NLPIR/FlashRAG_datasets/resolve/main"
_WIKI = "https://huggingface.co/datasets/PeterJinGo/wiki-18-corpus/resolve/main"
# Set -> the split that is scored and its number of questions, as published.
TEST_SETS = {
    "nq": ("test", 3610),
    "triviaqa": ("test", 11313),
    "popqa": ("test", 14267),
    "hotpotqa": ("dev", 7405),
    "2wikimultihopqa": ("dev", 12576),
    "musique": ("dev", 2417),
    "bamboogle": ("test", 125),
}
TRAIN_SETS = ("nq", "hotpotqa")  # as Search-R1 and SkillRL train


def files() -> dict[str, str]:
    """Official file name -> its address; the corpus, which takes 5 GB, comes last."""
    found = {f"{s}.{split}.jsonl": f"{_SETS}/{s}/{split}.jsonl" for s, (split, _) in
             TEST_SETS.items()}  # fmt: skip
    found |= {f"{s}.train.jsonl": f"{_SETS}/{s}/train.jsonl" for s in TRAIN_SETS}
    return found | {CORPUS: f"{_WIKI}/{CORPUS}"}


def path(dest: str | Path = "") -> Path:
    """The folder that holds, or would hold, the data."""
    return home("searchqa", "SEARCHQA_DATA", dest)


def rows(file: Path, mend: str) -> Iterator[dict[str, Any]]:
    """The lines of a file of questions. Raises DataError that ends in how to mend it."""
    if not file.is_file():
        raise DataError(f"no questions: {file} does not exist; {mend}")
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row["question"], str) or not isinstance(row["id"], str | int):
                    raise TypeError("question and id are texts")
                golds = row["golden_answers"]
                if not golds or not all(isinstance(g, str) for g in golds):
                    raise TypeError("golden_answers is a list of texts")
                yield row
    except KeyError as error:
        raise DataError(f"{file}, line {number}: no {error}; {mend}") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{file}, line {number} is damaged ({error}); {mend}") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error}); {mend}") from None


# ---------------------------------------------------------------------- verifying


@dataclass
class Report:
    """What `verify` found."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        return "\n".join([str(self.folder), *self.lines, *self.faults])


def verify(dest: str | Path = "") -> Report:
    """Read whatever is there, mini and official. Raises DataError when there is nothing."""
    report = Report(path(dest))
    mini, official = report.folder / MINI_QUESTIONS, report.folder / OFFICIAL
    if not mini.is_file() and not official.is_dir():
        raise DataError(f"no questions in {report.folder}; {FETCH}, or {MEND_MINI}")
    if mini.is_file():
        _verify_mini(report)
    if official.is_dir():
        _verify_official(report, official)
    return report


def _verify_mini(report: Report) -> None:
    from . import corpus

    wanted: set[str] = set()
    try:
        found = list(rows(report.folder / MINI_QUESTIONS, MEND_MINI))
        wanted = {i for row in found for i in (*row["gold_ids"], *row["answer_ids"])}
        report.lines.append(f"mini: {len(found)} questions")
    except (DataError, KeyError) as error:
        report.faults.append(str(error))
    for size in ("10k", "32k"):
        file = report.folder / f"corpus_{size}.jsonl.gz"
        if not file.is_file():
            report.lines.append(f"mini: {file.name} is absent")
            continue
        try:
            ids = [p.id for p in corpus.read(file)]
        except DataError as error:
            report.faults.append(f"{error}; {MEND_MINI}")
            continue
        report.lines.append(f"mini: {len(ids)} passages in {file.name}")
        if missing := wanted - set(ids):
            report.faults.append(f"{file} lacks {len(missing)} passages of answers; {MEND_MINI}")


def _verify_official(report: Report, folder: Path) -> None:
    known = _sums(folder)
    for name in files():
        file = folder / name
        if not file.is_file():
            report.lines.append(f"official: {name} is absent")
            continue
        if name in known and known[name] != sha256(file):
            report.faults.append(f"{file}: other bytes than were fetched; delete it and {FETCH}")
            continue
        if name == CORPUS:
            report.lines.append(f"official: {name}, {file.stat().st_size / 1e9:.2f} GB")
            continue
        try:
            count = sum(1 for _ in rows(file, f"delete it and {FETCH}"))
        except DataError as error:
            report.faults.append(str(error))
            continue
        report.lines.append(f"official: {name}, {count} questions")
        split, expected = TEST_SETS[name.split(".")[0]]
        if name.split(".")[1] == split and count != expected:
            report.faults.append(f"{file}: {count} questions, not {expected}; {FETCH} anew")


def _sums(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / SUMS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / SUMS} cannot be read ({error}); delete it and {FETCH}"
        ) from None
    return {str(k): str(v) for k, v in found.items()}


# ---------------------------------------------------------------------- fetching


def fetch(
    dest: str | Path = "",
    *,
    urls: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download what is missing of the official files; return the folder.

    Questions come first and are usable at once, with a search server; the corpus comes last. Each
    of `urls` is a folder that holds the files under the names that they have here. A download goes
    on where an earlier one stopped. Raises DataError that says what to do.
    """
    folder = path(dest) / OFFICIAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sums = _sums(folder)
        for name, address in files().items():
            if (folder / name).is_file():
                continue
            chosen = [f"{url.rstrip('/')}/{name}" for url in urls or ()]
            part = folder / f"{name}.part"
            otherwise = f"name a mirror with --url, or put the file into {folder} yourself"
            remote = Remote(name, (address,))
            download(remote, part, urls=chosen, progress=progress, otherwise=otherwise)
            part.replace(folder / name)
            sums[name] = sha256(folder / name)
            temporary = folder / f".{SUMS}"
            temporary.write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
            temporary.replace(folder / SUMS)
    except OSError as error:
        raise DataError(
            f"cannot store the data in {folder}: {error.strerror or error}; make room or choose "
            "another folder with --dest or SEARCHQA_DATA, then run the command again"
        ) from None
    return folder.parent
