"""The official ALFWorld games: where they lie, how they are fetched, whether they are whole.

Layout, as `alfworld-download` leaves it: ROOT/json_2.1.1/SPLIT/TASK/TRIAL/game.tw-pddl. ROOT is
`env.data`, else ALFWORLD_DATA, else the folder that `skillbench data fetch alfworld` fills. Only
the archive with the text games is needed. A download goes on where an earlier one stopped, and
nothing is unpacked before its sha256 is the promised one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from skillbench.errors import DataError, unknown_name

FOLDER = "json_2.1.1"
EXPECTED = {"train": 3553, "valid_seen": 140, "valid_unseen": 134}
FETCH = "run `skillbench data fetch alfworld`"
CHUNK = 1 << 18
MAX_UNPACKED = 4 << 30  # bytes; the official games take 0.4 GB
Progress = Callable[[int, int, str], None]  # bytes done, bytes in all (0: unknown), what


@dataclass(frozen=True)
class Archive:
    """One file to download. `sha256` decides; `size` (bytes) only serves the progress display."""

    name: str
    urls: tuple[str, ...]
    sha256: str
    size: int = 0


_RELEASES = "https://github.com/alfworld/alfworld/releases/download"
GAMES = Archive(
    "json_2.1.3_tw-pddl.zip",
    (f"{_RELEASES}/0.4.2/json_2.1.3_tw-pddl.zip",),
    "5df77ea759f2211a4106082839ddbbb790f1ba4e7d097ed732cf453f72aa36cf",
    36_507_267,
)


def root(directory: str | Path | None = None) -> Path:
    """The folder that holds, or would hold, `json_2.1.1`."""
    chosen = str(directory or os.environ.get("ALFWORLD_DATA", ""))
    if not chosen:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        chosen = f"{cache}/skillbench/alfworld"
    folder = Path(chosen).expanduser()
    return folder.parent if folder.name == FOLDER else folder


def path(*, directory: str | Path | None = None) -> Path | None:
    """The folder that holds the official games, or None where there are none."""
    folder = root(directory)
    return folder if (folder / FOLDER).is_dir() else None


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


def verify(
    *, directory: str | Path | None = None, log: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Read every game and compare the counts with the official ones; return what is wrong."""
    from .pddl import read_game

    folder, faults = root(directory), []
    check(folder)
    for split, expected in EXPECTED.items():
        try:
            files = games(folder, split)
        except DataError:
            files = []
        log(f"{split}: {len(files)} of {expected} games")
        if len(files) != expected:
            faults.append(f"{split} has {len(files)} games, not {expected}")
        for file in files:
            try:
                read_game(file)
                if not json.loads(file.read_bytes()).get("solvable", True):
                    faults.append(f"{file} is marked as unsolvable")
            except DataError as error:
                faults.append(str(error))
    return faults


# ---------------------------------------------------------------------- fetching


def fetch(
    *,
    directory: str | Path | None = None,
    log: Callable[[str], None] = lambda text: None,
    url: str = "",
    progress: Progress | None = None,
    archive: Archive = GAMES,
) -> Path:
    """Download, check and unpack the official games; return the folder that holds them.

    `url` is another base address for the archive, tried before its own. Raises DataError when no
    address works, when the checksum differs or when the disk is full.
    """
    folder = root(directory)
    urls = (f"{url.rstrip('/')}/{archive.name}",) if url else archive.urls
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / (archive.name + ".part")
        _download(archive, urls, part, progress or _percents(log))
        log(f"unpacking {archive.name}")
        count = unpack(part, folder)
        part.unlink()
    except OSError as error:
        raise DataError(
            f"cannot store the ALFWorld games in {folder}: {error.strerror or error}; make room or "
            "choose another folder with --dir or ALFWORLD_DATA, then run the command again"
        ) from None
    log(f"{count} files in {folder / FOLDER}; set ALFWORLD_DATA={folder} unless it is so already")
    return folder


def _percents(log: Callable[[str], None]) -> Progress:
    """A progress callback that writes a line per tenth."""
    last = -1

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        tenth = 10 * done // total if total else 0
        if tenth != last:
            last = tenth
            log(f"{what}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    return tell


def _download(archive: Archive, urls: Sequence[str], part: Path, tell: Progress) -> None:
    failures = []
    for url in urls:
        if part.exists() and _sha256(part) == archive.sha256:
            return
        try:
            _transfer(url, part, archive, tell)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        found = _sha256(part)
        if found == archive.sha256:
            return
        part.unlink()
        failures.append(f"{url}: sha256 is {found}, expected {archive.sha256}")
    raise DataError(
        f"could not download {archive.name}: {'; '.join(failures)}. Run the command again (it goes "
        "on where it stopped), or unpack the archive yourself and set ALFWORLD_DATA to its folder"
    )


def _transfer(url: str, part: Path, archive: Archive, tell: Progress) -> None:
    """Append what is missing of `part`; start over where the server knows no ranges."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http(s) address")
    have = part.stat().st_size if part.exists() else 0
    if archive.size and have >= archive.size:
        part.unlink()  # complete, yet not the right bytes
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        response = urllib.request.urlopen(url, timeout=60)
    with response:
        partial = response.status == 206 and have > 0
        done = have if partial else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else archive.size
        with part.open("ab" if partial else "wb") as out:
            while block := response.read(CHUNK):
                out.write(block)
                done += len(block)
                tell(done, total, archive.name)
        if length and done < total:
            raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
