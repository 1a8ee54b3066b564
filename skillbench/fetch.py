"""Resumable, checked downloads, for the data modules of environments.

A file is written to a `.part` beside its place. A download goes on where an earlier one stopped
(HTTP ranges), each address is tried in turn, and nothing is kept whose sha256 is not the promised
one. An address may also be a file of this machine: offline installs carry the archives over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError

CHUNK = 1 << 18  # bytes
TIMEOUT_S = 60.0  # of one read
Progress = Callable[[int, int, str], None]  # bytes done, bytes in all (0: unknown), what


@dataclass(frozen=True)
class Remote:
    """One file to download.

    `sha256` decides whether it is the right one ("": its publisher names none); `size` (bytes) says
    that a part is complete and serves the progress display.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str = ""
    size: int = 0


def home(name: str, variable: str, dest: str | Path = "") -> Path:
    """The folder of an environment's data: `dest`, else what the variable names, else the cache."""
    chosen = str(dest or os.environ.get(variable, ""))
    if not chosen:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        chosen = f"{cache}/skillbench/{name}"
    return Path(chosen).expanduser()


def sha256(file: Path) -> str:
    """The digest of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(
    remote: Remote,
    part: Path,
    *,
    urls: Sequence[str] = (),
    progress: Progress | None = None,
    otherwise: str,
) -> None:
    """Fill `part` with the whole file, from `urls` or else the file's own addresses.

    `otherwise` ends the advice "Run the command again (...), or ...". Raises DataError when no
    address works; OSError when the disk does not.
    """
    tell = progress or (lambda done, total, what: None)
    failures = []
    for url in urls or remote.urls:
        if remote.sha256 and part.exists() and sha256(part) == remote.sha256:
            return
        try:
            _transfer(url, part, remote, tell)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        if not remote.sha256:
            return
        found = sha256(part)
        if found == remote.sha256:
            return
        part.unlink()
        failures.append(f"{url}: sha256 is {found}, expected {remote.sha256}")
    raise DataError(
        f"could not download {remote.name}: {'; '.join(failures)}. Run the command again (it goes "
        f"on where it stopped), {otherwise}"
    )


def _transfer(url: str, part: Path, remote: Remote, tell: Progress) -> None:
    """Append what is missing of `part`; start over where the server knows no ranges."""
    if not url.startswith(("http://", "https://")):
        local = Path(url.removeprefix("file://")).expanduser()
        if not local.is_file():
            raise ValueError("not an http(s) address, and no file of this machine")
        shutil.copyfile(local, part)
        return
    have = part.stat().st_size if part.exists() else 0
    if remote.size and have >= remote.size:
        part.unlink()  # complete, yet not the right bytes
        have = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        if not remote.sha256 and error.headers.get("Content-Range") == f"bytes */{have}":
            return  # it was complete
        response = urllib.request.urlopen(url, timeout=TIMEOUT_S)
    with response:
        partial = response.status == 206 and have > 0
        done = have if partial else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else remote.size
        with part.open("ab" if partial else "wb") as out:
            while block := response.read(CHUNK):
                out.write(block)
                done += len(block)
                tell(done, total, remote.name)
        if length and done < total:
            raise ConnectionError(f"the connection ended after {done} of {total} bytes")
