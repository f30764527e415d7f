"""What a terminal shows while work goes on: one line that changes, and at the end the seconds of each phase.

rich, which is imported when there is something to show, draws the line, cuts it to the width and puts the cursor back.
"""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dwn_hw._progress import PAUSE, Progress, Watcher, duration, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Work that took less, in seconds, ends without a word on its phases.
LONG = 1.0

#: Phases that took less, in seconds, are not named at the end.
_NAMED = 0.05

#: What a phase is called at the end: ``placing and routing`` of "placing and routing with 3 seeds".
_NAME = re.compile(r"\w+ing( and \w+ing)*\b|[^:,]*")

_BAR, _REFRESHES = 16, 5


def shown_on(console: Console, started: float) -> Progress:
    """What shows work that began at ``started`` (``time.monotonic``): a watch on a terminal, elsewhere a line for each text."""
    if console.is_terminal:
        return Watch(console, started)
    return lambda text: console.print(_stamped(text, started), markup=False, soft_wrap=True)


@contextlib.contextmanager
def asked(progress: Progress | bool) -> Iterator[Progress]:
    """What a caller of the Python API asked for: silence, a function of its own, or, with True, what the commands show."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield silent
    else:
        from rich.console import Console

        shown = shown_on(Console(stderr=True, highlight=False), time.monotonic())
        try:
            yield shown
            if isinstance(shown, Watch):
                shown.finish()
        finally:
            if isinstance(shown, Watch):
                shown.stop()


def _name(text: str) -> str:
    found = _NAME.match(text)
    return found[0] if found else text


def _stamped(text: str, started: float) -> str:
    return f"[{time.monotonic() - started:5.1f} s] {text}"


class Watch(Watcher):
    """Shows the present phase on a terminal, as a line that changes; on one that cannot, ``TERM=dumb``, a line for each phase."""

    def __init__(self, console: Console, started: float) -> None:
        self.console, self.started = console, started
        self._lock = threading.RLock()
        self._live: Any = None
        self._spinner: Any = None
        self._seconds: dict[str, float] = {}
        self._begun = self._ahead = 0
        self._planned = False
        self._text = self._detail = ""
        self._since = self._counting = 0.0
        self._done = self._total = self._due = 0.0

    def __call__(self, text: str) -> None:
        """A phase begins, or the same goes on with another detail."""
        phase, _, detail = text.partition(": ")
        with self._lock:
            if phase != self._text:
                self._end_phase()
                self._text, self._since = phase, time.monotonic()
                self._begun, self._ahead = self._begun + 1, max(0, self._ahead - 1)
                if self.console.is_dumb_terminal:
                    self._print(_stamped(text, self.started))
            self._detail = detail
            self._show()

    def ahead(self, phases: int) -> None:
        """So many phases more will begin."""
        with self._lock:
            self._ahead, self._planned = max(0, self._ahead + phases), True

    def within(self, text: str, done: float, total: float) -> None:
        """What the phase is at, and how much of it is done."""
        now = time.monotonic()
        with self._lock:
            self._detail = text
            if total != self._total or done < self._done:
                self._counting = self._since if self._total == 0 else now
                self._due = 0.0
            if done > self._done and total and now - self._counting > PAUSE:
                self._due = now + (now - self._counting) * (total - done) / done
            self._done, self._total = done, total

    def stop(self) -> None:
        """Take the line away."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.stop()  # without the lock: its last line is still drawn
        with self._lock:
            self._end_phase()

    def finish(self) -> None:
        """Take the line away, and say of long work what each of its phases took."""
        self.stop()
        whole = time.monotonic() - self.started
        if self._begun and whole >= LONG:
            parts = (f"{name} {seconds:.1f}" for name, seconds in self._seconds.items() if seconds >= _NAMED)
            line = f"{whole:.1f} s: {', '.join(parts)}"
            for each in textwrap.wrap(line, self.console.width, subsequent_indent=" " * 11):
                self._print(each)

    def _end_phase(self) -> None:
        """Note the time of the phase; the next one knows of no amount yet."""
        now = time.monotonic()
        if self._text:
            called = _name(self._text)
            self._seconds[called] = self._seconds.get(called, 0.0) + now - self._since
        elif not self._begun:
            self._seconds["starting"] = now - self.started
        self._text = self._detail = ""
        self._done = self._total = self._due = 0.0

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, no_wrap=True, overflow="ellipsis", crop=True)

    def _show(self) -> None:
        if self._live is None and not self.console.is_dumb_terminal:
            from rich.live import Live
            from rich.spinner import Spinner

            self._spinner = Spinner("dots")
            # What is printed meanwhile stands above the line; what goes to a file stays there.
            both = sys.stdout.isatty()
            self._live = Live(
                console=self.console,
                get_renderable=self._line,
                refresh_per_second=_REFRESHES,
                transient=True,
                redirect_stdout=both,
            )
            self._live.start()

    def _line(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            line = Table.grid(expand=True, padding=(0, 1, 0, 0))
            line.add_column(width=1)
            line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
            cells: list[Any] = [self._spinner, Text(self._words())]
            if self._total:
                line.add_column(width=_BAR)
                cells.append(ProgressBar(total=self._total, completed=self._done, width=_BAR))
            line.add_column(no_wrap=True, justify="right")
            line.add_row(*cells, Text(self._times(time.monotonic())))
            return line

    def _words(self) -> str:
        """The phase and, where they are known, its number and what it is at; beside that it is called by its short name."""
        number = f"{self._begun} of {self._begun + self._ahead}  " if self._planned else ""
        return f"{number}{_name(self._text)}: {self._detail}" if self._detail else f"{number}{self._text}"

    def _times(self, now: float) -> str:
        """The time since the work began, ``2:05``, and how long the phase may still take."""
        minutes, seconds = divmod(int(now - self.started), 60)
        left = f", {duration(self._due - now)} left" if self._due > now else ""
        return f"{minutes}:{seconds:02}{left}"
