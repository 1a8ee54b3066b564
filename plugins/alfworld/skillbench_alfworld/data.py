"""The official ALFWorld games: where they lie, how they are fetched, whether they are whole.

Layout, as `alfworld-download` leaves it: ROOT/json_2.1.1/SPLIT/TASK/TRIAL/game.tw-pddl. ROOT is
`env.data`, else ALFWORLD_DATA, else the folder that `skillbench data fetch alfworld` fills. Only
the archive with the text games is needed. A download goes on where an earlier one stopped, and
nothing is unpacked before its sha256 is the promised one.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from skillbench.errors import DataError, unknown_name
from skillbench.fetch import Progress, download, home
from skillbench.fetch import Remote as Archive

FOLDER = "json_2.1.1"
EXPECTED = {"train": 3553, "valid_seen": 140, "valid_unseen": 134}
LICENCE = "ALFWorld (MIT, Shridhar et al. 2021) and ALFRED (MIT, Shridhar et al. 2020)"
FETCH = "run `skillbench data fetch alfworld`"
CHUNK = 1 << 18  # bytes
MAX_UNPACKED = 4 << 30  # bytes; the official games take 0.4 GB

_RELEASES = "https://github.com/alfworld/alfworld/releases/download"
GAMES = Archive(
    "json_2.1.3_tw-pddl.zip",
    (f"{_RELEASES}/0.4.2/json_2.1.3_tw-pddl.zip",),
    "5df77ea759f2211a4106082839ddbbb790f1ba4e7d097ed732cf453f72aa36cf",
    36_507_267,
)


def path(dest: str | Path = "") -> Path:
    """The folder that holds, or would hold, `json_2.1.1`."""
    folder = home("alfworld", "ALFWORLD_DATA", dest)
    return folder.parent if folder.name == FOLDER else folder


def check(folder: Path) -> None:
    """Raise DataError unless there are official games."""
    if not (folder / FOLDER).is_dir():
        raise DataError(
            f"no official ALFWorld games: {folder / FOLDER} does not exist; {FETCH}, or set "
            f"ALFWORLD_DATA (or env.data) to the folder that holds {FOLDER}"
        )


def games(folder: Path, split: str) -> list[Path]:
    """List the game files of an official split, sorted by id. Raises DataError when there are none.

    Games with movable receptacles or sliced targets are left out, as the reference package does.
    """
    if split not in EXPECTED:
        raise unknown_name("official ALFWorld split", split, EXPECTED)
    check(folder)
    place = folder / FOLDER / split
    found = [
        f
        for f in place.glob("*/*/game.tw-pddl")
        if "movable" not in f.parts[-3] and "Sliced" not in f.parts[-3]
    ]
    if not found:
        raise DataError(
            f"no official ALFWorld games in {place}; {FETCH}, or set ALFWORLD_DATA (or env.data) "
            f"to the folder that holds {FOLDER}"
        )
    return sorted(found, key=lambda f: f.parts[-3:-1])


@dataclass(frozen=True)
class Report:
    """What `verify` found: games and won walkthroughs per split, and what is wrong."""

    folder: Path
    games: dict[str, int]
    wins: int
    faults: list[str]

    @property
    def ok(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        rows = [
            f"{split}: {n} of {EXPECTED[split]} games" + ("" if n else " (absent)")
            for split, n in self.games.items()
        ]
        rows.append(f"{self.wins} stored walkthroughs win in the native engine")
        shown = self.faults[:20]
        more = [f"and {len(self.faults) - 20} more faults"] if len(self.faults) > 20 else []
        return "\n".join([str(self.folder / FOLDER), *rows, *shown, *more])


def verify(dest: str | Path = "") -> Report:
    """Read every game, play its stored walkthrough in the native engine, and count.

    A split that is absent as a whole is said and no fault: few need all three. Raises DataError
    when there are no games at all.
    """
    from .engine import replays
    from .pddl import read_game

    folder = path(dest)
    check(folder)
    counts: dict[str, int] = {}
    wins, faults = 0, []
    for split, expected in EXPECTED.items():
        try:
            files = games(folder, split)
        except DataError:
            files = []
        counts[split] = len(files)
        if files and len(files) != expected:
            faults.append(f"{split} has {len(files)} games, not {expected}; {FETCH}")
        for file in files:
            try:
                game = read_game(file)
            except DataError as error:
                faults.append(str(error))
                continue
            if not game.walkthrough:
                continue
            if replays(game):
                wins += 1
            else:
                faults.append(f"{file}: its stored walkthrough does not win; {FETCH}")
    return Report(folder, counts, wins, faults)


# ---------------------------------------------------------------------- fetching


def fetch(
    dest: str | Path = "",
    *,
    urls: Sequence[str] | None = None,
    progress: Progress | None = None,
    archive: Archive = GAMES,
) -> Path:
    """Download, check and unpack the official games; return the folder that holds them.

    `urls` replaces the archive's own addresses; each is tried in turn, and one that does not end
    in the archive's name is taken as the folder that holds it. Raises DataError when no address
    works, when the checksum differs or when the disk is full.
    """
    folder = path(dest)
    tell = progress or (lambda done, total, what: None)
    chosen = [
        url if url.endswith(archive.name) else f"{url.rstrip('/')}/{archive.name}"
        for url in urls or archive.urls
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / (archive.name + ".part")
        otherwise = "or unpack the archive yourself and set ALFWORLD_DATA to its folder"
        download(archive, part, urls=chosen, progress=tell, otherwise=otherwise)
        tell(0, 0, f"unpacking {archive.name}")
        unpack(part, folder)
        part.unlink()
    except OSError as error:
        raise DataError(
            f"cannot store the ALFWorld games in {folder}: {error.strerror or error}; make room or "
            "choose another folder with --dest or ALFWORLD_DATA, then run the command again"
        ) from None
    return folder


# ---------------------------------------------------------------------- unpacking


def unpack(archive: Path, dest: Path) -> int:
    """Unpack the files under `json_2.1.1` of a zip or tar into `dest`; return how many.

    Links, devices, absolute paths and paths that climb out are refused with a DataError; each file
    appears whole or not at all.
    """
    size = count = 0
    for name, length, stream in _members(archive):
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if name.startswith(("/", "\\")) or ".." in parts or any(":" in p for p in parts):
            raise DataError(f"the archive {archive.name} holds an unsafe path: {name!r}")
        if FOLDER not in parts:
            continue
        size += length
        if size > MAX_UNPACKED:
            raise DataError(f"the archive {archive.name} unpacks to more than {MAX_UNPACKED} bytes")
        target = dest.joinpath(*parts[parts.index(FOLDER) :])
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".unpack")
        try:
            with os.fdopen(handle, "wb") as out:
                while block := stream.read(CHUNK):
                    out.write(block)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        count += 1
    if not count:
        raise DataError(f"the archive {archive.name} holds no folder {FOLDER}")
    return count


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, size and content of the regular files; refuse links and the like."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir():
                    continue
                if kind not in (0, stat.S_IFREG):
                    raise DataError(f"the archive {archive.name} holds a link: {info.filename!r}")
                with zipped.open(info) as stream:
                    yield info.filename, info.file_size, stream
        return
    try:
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                if member.isdir():
                    continue
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise DataError(f"the archive {archive.name} holds a link: {member.name!r}")
                yield member.name, member.size, content
    except tarfile.TarError:
        raise DataError(f"{archive} is neither a zip nor a tar archive") from None
