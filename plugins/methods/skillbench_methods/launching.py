"""Starting processes that train together: `accelerate launch` as a child of the run.

A stage with `launch` set hands its updates to such processes. The run itself stays one process: it
plays, keeps the books and the bank, and holds the weights that are sampled from.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from skillbench.errors import UsageError, suggest
from skillbench.layers import tasks_dir

TAIL = 2000  # characters of a log that an error shows


def configuration(name: str, stage: str) -> Path:
    """The accelerate configuration of a name in tasks/accelerate, or of a path.

    Raises UsageError where there is none.
    """
    path = Path(name)
    shipped = tasks_dir() / "accelerate"
    if not path.is_file():
        path = shipped / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in shipped.glob("*.yaml"))
        raise UsageError(
            f"trainer.{stage}.launch={name}: neither a file nor one of "
            f"{', '.join(known)}{suggest(name, known)}"
        )
    return path.resolve()


def size(path: Path) -> tuple[int, int]:
    """Processes and machines of a configuration. Raises UsageError without accelerate."""
    found = _read(path)
    return int(found.num_processes), int(found.num_machines)


def shards_itself(path: Path) -> bool:
    """Whether the configuration leaves optimiser and backward pass to DeepSpeed's engine."""
    return _kind(path) == "DEEPSPEED"


def command(path: Path, module: str, *arguments: str) -> list[str]:
    """The command line that starts a module on all ranks of a configuration."""
    processes, machines = size(path)
    # On one machine nobody else has to know the port.
    port = [] if machines > 1 else [str(_free_port())]
    if _kind(path) == "MULTI_CPU":  # accelerate starts several of these through MPI alone
        words = ["torch.distributed.run", f"--nproc_per_node={processes}"]
        words += [f"--master_port={p}" for p in port]
    else:
        words = ["accelerate.commands.launch", "--config_file", str(path)]
        words += [f"--main_process_port={p}" for p in port]
    return [sys.executable, "-m", *words, "-m", module, *arguments]


def environment(path: Path, devices: str) -> dict[str, str]:
    """Variables of the ranks: the modules of this process, and the devices left to them."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        variables.pop(name, None)
    if _kind(path) == "MULTI_CPU":
        variables |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    if devices:
        variables["CUDA_VISIBLE_DEVICES"] = devices
    return variables


def _read(path: Path) -> Any:
    try:
        from accelerate.commands.config.config_args import load_config_from_file
    except ImportError as error:
        raise UsageError(
            f"trainer.*.launch needs accelerate ({error}): pip install 'skillbench-methods[train]'"
        ) from error
    try:
        return load_config_from_file(str(path))
    except Exception as error:  # whatever yaml and accelerate raise on a file that is not theirs
        raise UsageError(f"{path} is no configuration of accelerate: {error}") from error


def _kind(path: Path) -> str:
    return str(_read(path).distributed_type).rpartition(".")[2]


def tail(log: Path) -> str:
    """The end of a log, for an error."""
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-TAIL:].strip()
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
