"""Child processes: run with a time limit, heard line by line, several at once, and ended all together."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, TypeAlias, TypeVar

from dwn_hw.errors import ToolError, ToolTimeout
from dwn_hw.toolchain.remedies import missing

T = TypeVar("T")

#: Told each line that a program says, when it says it, in a thread; whether that tells how far it is and no more.
Heard: TypeAlias = Callable[[str], bool]


def run(
    command: Sequence[str | Path],
    *,
    timeout: float,
    name: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    clean: bool = False,
    heard: Heard | None = None,
) -> str:
    """Run a program, called ``name`` in messages, and return its standard output.

    ``env``: added to this process' environment, or if ``clean`` to the part of it that says where things are and not what a
    program is to do. ``heard`` is told what it says line by line; what only says how far it is, is dropped then.

    Raises ToolError with the end of what it said.
    """
    name = name or Path(command[0]).name
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**(_clean_environment() if clean else os.environ), **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            errors="replace",
            start_new_session=True,  # what it starts itself ends with it
        )
    except FileNotFoundError:
        raise missing(name) from None
    _running.add(process)
    try:
        if _stopping:  # the signal came while it was being started
            raise ToolError(f"{name}: stopped")
        out, err = process.communicate(stdin, timeout) if heard is None else _listen(process, stdin, timeout, heard)
    except (subprocess.TimeoutExpired, TimeoutError):
        raise ToolTimeout(
            f"{name}: no answer within {timeout:.0f} s. Try a smaller design, or a faster machine."
        ) from None
    finally:
        _running.discard(process)
        if process.poll() is None:
            _kill(process)
            process.communicate()
    if process.returncode:
        raise ToolError(f"{name}: failed with exit status {process.returncode}:\n{_end(out + err)}")
    return out


def _listen(process: subprocess.Popen[str], stdin: str | None, timeout: float, heard: Heard) -> tuple[str, str]:
    """What a program says to its end on both outputs, without the lines that only say how far it is."""
    until = time.monotonic() + timeout

    def read(stream: IO[str]) -> str:
        with stream:
            return "".join(line for line in stream if not heard(line.rstrip("\n")))

    assert process.stdout is not None
    assert process.stderr is not None
    with ThreadPoolExecutor(2) as readers:
        try:
            out, err = readers.submit(read, process.stdout), readers.submit(read, process.stderr)
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(stdin or "")
            found = tuple(job.result(max(0.0, until - time.monotonic())) for job in (out, err))
            process.wait(max(0.0, until - time.monotonic()))
        except BaseException:
            _kill(process)  # or the readers would wait for more
            process.wait()
            raise
    return found[0], found[1]


#: Variables that say who and where one is, with the beginnings of others.
_PLACES = {
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TMP", "TEMP", "LD_LIBRARY_PATH"),
    *(
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "OBJCACHE",
        "OMP_NUM_THREADS",
    ),
}
_PLACES_OF = ("LC_", "XDG_", "NIX_", "DWN_HW_", "CCACHE_")


def _clean_environment() -> dict[str, str]:
    """This process' environment without what would tell a simulator, its bench, make or Python to do something else."""
    return {name: value for name, value in os.environ.items() if name in _PLACES or name.startswith(_PLACES_OF)}


def _end(said: str) -> str:
    """The last lines of what a program said, and before them the first ones that speak of an error."""
    lines = said.strip().splitlines()
    errors = [line for line in lines[:-20] if re.search(r"\berror\b", line, re.I)]
    return "\n".join([*errors[:5], *lines[-20:]])


#: The programs that :func:`run` waits for, in any thread; and whether all are to end.
_running: set[subprocess.Popen[str]] = set()
_stopping = False


def stop() -> None:
    """End all programs that :func:`run` waits for, and those that it starts later: their callers get ToolError."""
    global _stopping
    _stopping = True  # first: what is being started now is not among them yet
    for process in list(_running):
        _kill(process)


def is_stopping() -> bool:
    """Whether programs are being ended, so that what failed failed for that."""
    return _stopping


def go_on() -> None:
    """After :func:`stop`, let programs run again."""
    global _stopping
    _stopping = False


def together(jobs: Iterable[Callable[[], T]], at_once: int) -> Iterator[T]:
    """Run functions that wait for programs, so many at a time, and give what they return as each is done.

    After an error, which is the caller's, or an interrupt, those that wait are not begun any more.
    """
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(job) for job in jobs]
        try:
            for job in as_completed(running):
                yield job.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Child:
    """A program that runs beside this one until its standard input is closed."""

    def __init__(self, command: Sequence[str | Path], name: str, cwd: Path | None = None) -> None:
        self.name = name
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [str(Path(part).resolve() if isinstance(part, Path) else part) for part in command],
                cwd=cwd,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise ToolError(f"{name}: cannot be started: {error.strerror}") from None

    def line(self) -> str:
        """The program's next line. Raises ToolError with what it said if it ended instead."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            raise ToolError(f"{self.name}: ended: {self._process.communicate()[1].strip() or 'without a word'}")
        return text.rstrip("\n")

    def wait(self) -> None:
        """Wait until the program ends. Raises ToolError if it ends by itself, which none should."""
        status = self._process.wait()
        raise ToolError(f"{self.name}: ended with exit status {status}. Start it again.")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
