"""C++ that Verilator wrote, compiled to a program without make: in as many texts as there are cores, since headers cost most.

The compiled headers and Verilator's run-time library are the same for every design. They are made once for each Verilator,
compiler and way of optimising, and kept in this user's cache.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from dwn_hw import toolchain
from dwn_hw._progress import Progress, within
from dwn_hw.exports import kept_builds

#: What the run-time library is told of a program without any of these.
_FEATURES = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF")
_FLAGS = ("-std=gnu++17", "-pthread", "-DVERILATOR=1", *(f"-DVM_{feature}=0" for feature in _FEATURES))

_HEADER = "verilated.h"

#: In what Verilator writes for make: where it is, and which files of its run-time library a program needs.
_ROOT, _RUNTIME = re.compile(r"^VERILATOR_ROOT = (.+)$", re.M), re.compile(r"^  (verilated\w*) \\$", re.M)


def compile_program(folder: Path, optimize: str, version: str, run: Callable[..., str], progress: Progress) -> None:
    """Make the program ``bench`` of what Verilator ``version`` wrote in ``folder`` for a module ``bench``, and of ``main.cpp``.

    ``run`` runs a command in ``folder``. Raises ToolError.
    """
    root = _ROOT.search((folder / "Vbench.mk").read_text("utf-8"))
    assert root is not None
    include, cores = Path(root[1]) / "include", os.cpu_count() or 1
    names = _RUNTIME.findall((folder / "Vbench_classes.mk").read_text("utf-8"))
    compiler, headers = ["g++", optimize, *_FLAGS], [f"-I{include}", f"-I{include / 'vltstd'}"]
    run = functools.partial(run, name="verilator (build)")
    library = _library([*compiler, *headers], include, names, version, run)
    texts = _texts(folder, cores)
    commands = [[*compiler, f"-I{library}", *headers, "-I.", "-c", name, "-o", f"{name}.o"] for name in texts]
    jobs = [functools.partial(run, command) for command in commands]
    for done, _ in enumerate(toolchain.together(jobs, cores), 1):
        within(progress, f"file {done} of {len(jobs)}", done, len(jobs))
    objects = [*(f"{name}.o" for name in texts), *(str(library / f"{name}.o") for name in names)]
    run(["g++", "-pthread", *objects, "-o", "bench"])


def _texts(folder: Path, count: int) -> list[str]:
    """At most so many files of about equal size that include all the others."""
    files = sorted(folder.glob("*.cpp"), key=lambda path: path.stat().st_size, reverse=True)
    groups: list[list[Path]] = [[] for _ in range(min(count, len(files)))]
    for path in files:
        min(groups, key=lambda group: sum(one.stat().st_size for one in group)).append(path)
    names = [f"all{i}.cc" for i in range(len(groups))]
    for name, group in zip(names, groups, strict=True):
        # The compiled header is taken only where it is the first, and found before the one that it was made of.
        (folder / name).write_text("".join(f'#include "{one}"\n' for one in (_HEADER, *(p.name for p in group))))
    return names


def _library(compiler: list[str], include: Path, names: list[str], version: str, run: Callable[..., str]) -> Path:
    """The folder that holds the compiled files ``names`` and the compiled header, for just this compiler and Verilator."""
    made = (include / "verilated.cpp").stat().st_mtime_ns
    said = [version, made, run(["g++", "--version"]).splitlines()[0], compiler, names]
    key = hashlib.sha256(repr(said).encode()).hexdigest()
    place = kept_builds.cache_folder() / f"verilator-{version}-{key[:12]}"
    if kept_builds.is_sealed(place, key):
        return place
    with kept_builds.alone(place):
        if not kept_builds.is_kept(place, key):
            shutil.copyfile(include / _HEADER, place / _HEADER)
            sources = [(include / f"{name}.cpp", f"{name}.o") for name in names]
            header = [*compiler, "-x", "c++-header", str(place / _HEADER), "-o", str(place / f"{_HEADER}.gch")]
            commands = [[*compiler, "-c", str(source), "-o", str(place / name)] for source, name in sources]
            jobs = [functools.partial(run, command) for command in (header, *commands)]
            list(toolchain.together(jobs, os.cpu_count() or 1))
            kept_builds.keep(place, key)
    return place
