"""What a run's bits depend on besides its experiment: the machine that computes, its libraries, the code."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch

from reprolib.errors import InputError
from reprolib.files import PROJECT
from reprolib.runs import processes
from reprolib.runs.records import Environment

LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "safetensors")


def choose_device(name: str) -> torch.device:
    """ "auto" takes a CUDA GPU where there is one, else the processor. "mps", Apple's GPU, is untried.

    Of several processes each takes the GPU of its own number.

    Raises:
        ValueError: if the name is unknown, or there is no such device here, or not one for each process.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise InputError(f"device {name!r} is unknown: choose auto, cpu, cuda, cuda:N or mps")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and processes.count() > 1:
        if name != "cuda":
            raise InputError(f"{processes.count()} processes need a device each, and {name} is one: choose cuda or cpu")
        name = f"cuda:{processes.number_here()}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        if processes.count() > 1 and count:
            raise InputError(
                f"process {processes.number()} has no GPU of its own, there are {count} here: start {count} processes "
                "on this machine, or choose device cpu"
            )
        raise InputError(f"there is no {name} here but {count} CUDA devices: choose device auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("there is no GPU of Apple's here: choose device auto or cpu")
    return device


def set_threads(threads: int) -> None:
    """Compute on so many threads of the processor; 0 leaves the choice to PyTorch.

    Raises:
        InputError: if it is below 0.
    """
    if threads < 0:
        raise InputError(f"threads must be 1 or more, not {threads}")
    if threads:
        torch.set_num_threads(threads)


def number_format(device: torch.device) -> str:
    """ "bfloat16" (mixed precision) where the device computes in it, else "float32"; a property of the machine."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bfloat16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "float32"


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of the device where that is a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage counts the parent's peak too, from before this program began
        return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line[:6] == "VmHWM:")
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource  # which Windows has not

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def environment(device: torch.device) -> Environment:
    """The machine, the libraries and the code here."""
    return Environment(
        code=code_version(),
        python=platform.python_version(),
        libraries={name: metadata.version(name) for name in LIBRARIES},
        processor=processor_name(device),
        instructions=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        device=device.type,
        number_format=number_format(device),
        processes=processes.count(),
    )


def code_version() -> str:
    """The commit of the project, with "+" if files of the module were changed since; the version outside a checkout.

    Where there is a checkout and git does not tell its commit, the version with "commit unknown".
    """

    def git(*words: str) -> str:
        # Git reads no checkout of another user unless told to; whoever runs this module trusts its folder already.
        trusted = ("git", "-c", f"safe.directory={PROJECT.as_posix()}", "-C", str(PROJECT))
        return subprocess.run([*trusted, *words], capture_output=True, text=True, check=True).stdout.strip()

    version = metadata.version("reprolib")
    if not (PROJECT / ".git").exists():  # an installed package, perhaps within the checkout of something else
        return version
    try:
        changed = git("status", "--porcelain", "--", "reprolib")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return f"{version}, commit unknown"


def processor_name(device: torch.device) -> str:
    """The name of the processor that does the arithmetic."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: Callable[[], dict] | None = getattr(torch.cpu, "get_capabilities", None)
    name = capabilities().get("cpu_name") if capabilities else None
    return name or platform.processor() or platform.machine()
