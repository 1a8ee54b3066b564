"""The official WebShop files: where they lie, how they are fetched, whether they are whole.

ROOT is `env.data`, else WEBSHOP_DATA, else the folder that `skillbench data fetch webshop` fills.
Five files, as the project publishes them; three make the 1,000-product catalogue, the two large
ones the full catalogue (1.18 million products), which is converted once into SQLite (full.py). A
download goes on where an earlier one stopped, and nothing is used before its sha256 is right.
WEBSHOP_FETCH=small leaves the large files out (5.7 GB).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skillbench.errors import DataError
from skillbench.fetch import Progress, Remote, download, home, sha256

FETCH = "run `skillbench data fetch webshop`"
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@dataclass(frozen=True)
class File(Remote):
    """One file to download."""

    large: bool = False


FILES = (
    File(
        "items_ins_v2_1000.json",
        (_DRIVE + "1IduG0xl544V_A_jv3tHXC0kyFi7PnyBu",),
        "f88a36314a397b53b3d9c3fa5878e5f7b26d35019a51ec83fbedeca61a948f6f",
        147_099,
    ),
    File(
        "items_shuffle_1000.json",
        (_DRIVE + "1EgHdxQ_YxqIQlvvq5iKlCrkEKR6-j0Ib",),
        "30a4765c3a327af72d9a9a95a6b2486d516f0fa1d3ecd83681901ce82a21b269",
        4_467_013,
    ),
    File(
        "items_human_ins.json",
        (_DRIVE + "14Kb5SPBk_jfdLZ_CDBNitW98QLDlKR5O",),
        "cf78667548a71786e1d9049c24b802e48e1084ad4bb021cae56ce1f6d96954a3",
        5_137_548,
    ),
    File(
        "items_ins_v2.json",
        (_DRIVE + "1s2j6NgHljiZzQNL3veZaAiyW_qDEgBNi",),
        "1d36af476bdb8f82a5da62bd8acdabe54cd8de2fa84010d37da5c4890feb447e",
        186_295_270,
        True,
    ),
    File(
        "items_shuffle.json",
        (_DRIVE + "1A2whVgOO0euk5O13n2iYDM0bQRkkRduB",),
        "2ef591d65df3af89e972ab72468eb82cbf124d876552d9f3678667edd620a6c8",
        5_479_720_229,
        True,
    ),
)


def path(dest: str | Path = "") -> Path:
    """The folder that holds, or would hold, the files."""
    return home("webshop", "WEBSHOP_DATA", dest)


# ---------------------------------------------------------------------- verifying


@dataclass
class Report:
    """What `verify` found."""

    folder: Path
    rows: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        return "\n".join([str(self.folder), *self.rows, *self.faults])


def verify(dest: str | Path = "", *, files: Sequence[File] = FILES) -> Report:
    """Check the files that are there by their sha256, and load the small catalogue from them.

    Raises DataError when there is nothing at all.
    """
    from . import official, shop

    root = path(dest)
    report = Report(root)
    for file in files:
        place = root / file.name
        if not place.is_file():
            report.rows.append(f"{file.name}: absent")
        elif sha256(place) == file.sha256:
            report.rows.append(f"{file.name}: whole")
        else:
            report.faults.append(f"{file.name}: its sha256 is not the published one; {FETCH}")
    products, synthetic, human = official.small(root)
    report.rows.append(
        f"small catalogue: {len(products)} products, {len(synthetic)} synthetic goals, "
        f"{len(human)} human goals"
    )
    if (len(products), len(synthetic)) != (1000, 6910):
        report.faults.append(f"1000 products and 6910 synthetic goals were expected; {FETCH}")
    if products and not shop.Shop(products).find(products[0].title):
        report.faults.append("the search engine finds nothing")
    return report


# ---------------------------------------------------------------------- fetching


def fetch(
    dest: str | Path = "",
    *,
    urls: Sequence[str] | None = None,
    progress: Progress | None = None,
    files: Sequence[File] = FILES,
) -> Path:
    """Download and check the official files; make the full catalogue's SQLite file from them.

    `urls` replaces the files' own addresses: folders that hold them by name. Files that are there
    and whole are not fetched again. Raises DataError when no address works, when a checksum differs
    or when the disk is full.
    """
    from . import full, nouns

    root = path(dest)
    tell = progress or (lambda done, total, what: None)
    if os.environ.get("WEBSHOP_FETCH") == "small":
        files = [f for f in files if not f.large]
    try:
        root.mkdir(parents=True, exist_ok=True)
        for file in files:
            place = root / file.name
            if place.is_file() and sha256(place) == file.sha256:
                continue
            chosen = [f"{url.rstrip('/')}/{file.name}" for url in urls or ()]
            part = root / (file.name + ".part")
            otherwise = "or put the file into WEBSHOP_DATA yourself"
            download(file, part, urls=chosen, progress=tell, otherwise=otherwise)
            part.replace(place)
        nouns.make(root, tell)
        if any(f.large for f in files):
            full.convert(root, tell)
    except OSError as error:
        raise DataError(
            f"cannot store the WebShop files in {root}: {error.strerror or error}; make room or "
            "choose another folder with --dest or WEBSHOP_DATA, then run the command again"
        ) from None
    return root
