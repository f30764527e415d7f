"""The way a command speaks: text and progress on standard error, one JSON document on standard output, an exit status.

What all commands share is here; :mod:`dwn_hw.cli.main` holds the commands.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dwn_hw._progress import Progress, silent, terminal
from dwn_hw.cli import project_file
from dwn_hw.errors import DwnHwError, InputError, Mismatch, Problem

if TYPE_CHECKING:
    from rich.console import Console

Report = dict[str, Any]


class Screen:
    """The outputs of a command: progress and text on standard error, one JSON document on standard output."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json, self.quiet = as_json, quiet
        self._started = time.monotonic()

    @functools.cached_property
    def console(self) -> Console:
        """What draws on standard error; made when it is used, since help needs none."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    @functools.cached_property
    def progress(self) -> Progress:
        """Shows what is being done now: phases, amounts and times on a terminal, a line for each phase elsewhere."""
        return silent if self.quiet else terminal.shown_on(self.console, self._started)

    def stop(self) -> None:
        """Take the line away that shows what is being done."""
        if isinstance(self.progress, terminal.Watch):
            self.progress.stop()

    def finish(self) -> None:
        """End a command that did its work: on a terminal with the seconds of its phases."""
        if isinstance(self.progress, terminal.Watch):
            self.progress.finish()

    def say(self, *lines: str) -> None:
        """Print the result for a person."""
        self.stop()
        if not self.quiet:
            for line in lines:
                self._print(line, indent=11)

    def warn(self, report: Report) -> None:
        """Print what a report notes; and what it says is likely wrong, also under ``--quiet``: that is never silent."""
        self.stop()
        self.say(*(f"note       {text}" for text in report.get("notes", ())))
        for text in report["warnings"]:
            self._print(f"WARNING    {text}", indent=11)

    def fail(self, message: str) -> None:
        """Print an error for a person, also under ``--quiet``: a failure is never silent."""
        first, *rest = message.splitlines()
        self._print(f"error: {first}", indent=7)
        for line in rest:
            self.console.print(f"       {line}", markup=False, soft_wrap=True)

    def _print(self, line: str, indent: int) -> None:
        """Print a line. On a terminal it breaks between words, with a hanging indent; elsewhere a line stays a line."""
        if self.console.is_terminal:
            hang = " " * indent
            width = self.console.width
            line = textwrap.fill(line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
        self.console.print(line, markup=False, soft_wrap=True)

    def show(
        self, headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, dense: bool = False
    ) -> None:
        """Print a table for a person. The first ``left`` columns are text, the others figures; ``dense``: close together."""
        from rich import box
        from rich.markup import escape
        from rich.table import Table

        self.stop()
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=dense)
        for i, heading in enumerate(headings):
            table.add_column(heading, justify="left" if i < left else "right", no_wrap=dense and i == 0)
        for row in rows:
            table.add_row(*map(escape, row))
        if not self.quiet:
            self.console.print(table)

    def result(self, report: Report) -> None:
        """Print the result for a machine, as JSON, where it was asked for."""
        if self.as_json:
            try:
                click.echo(json.dumps(report, indent=2))
            except BrokenPipeError:
                raise
            except OSError as error:
                # What could not be written must not be tried again when Python ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise OSError(error.errno, error.strerror, "standard output") from None


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command what all share: ``--json``, ``--quiet``, ``--debug``, and errors as messages with an exit status."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    @click.option("--quiet", is_flag=True, help="No text and no progress on standard error, errors aside.")
    @click.option("--debug", is_flag=True, help="Show where an error was raised.")
    @functools.wraps(function)
    def wrapper(as_json: bool, quiet: bool, debug: bool, **arguments: Any) -> None:
        screen = Screen(as_json, quiet)
        try:
            with _ending():
                if told := project_file.taken(click.get_current_context()):
                    screen.say(f"project    {', '.join(told)}")
                status = function(screen, **arguments) or 0
            screen.finish()
        except DwnHwError as error:
            screen.stop()
            if debug:
                raise
            _report_error(screen, error)
            status = error.exit_code
        except OSError as error:
            screen.stop()
            if debug or isinstance(error, BrokenPipeError):  # nobody reads any more: click leaves quietly
                raise
            where = error.filename if isinstance(error.filename, str) else "a file"
            remedy = "Check the path, its permissions and the room on the disk."
            _report_error(screen, InputError(Problem(where, "readable or writable", f"{error.strerror}", remedy)))
            status = InputError.exit_code
        finally:
            screen.stop()
        sys.exit(status)

    return wrapper


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """An interrupt, a request to end or a closed terminal: what runs beside is ended first, then all is cleaned up."""

    def end(number: int, frame: object) -> None:
        if module := sys.modules.get("dwn_hw.toolchain"):
            module.stop()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if module := sys.modules.get("dwn_hw.toolchain"):
            module.go_on()


def refuse(context: click.Context, error: DwnHwError) -> None:
    """End with an error that came before a command began."""
    _report_error(Screen(as_json=context.obj, quiet=False), error)
    context.exit(error.exit_code)


def _report_error(screen: Screen, error: DwnHwError) -> None:
    problems = error.problems if isinstance(error, InputError) else ()
    for message in map(str, problems or (error,)):
        screen.fail(message)
    with contextlib.suppress(OSError):  # a full disk, of which the message speaks
        found = _error(type(error).__name__, str(error), *problems)
        if isinstance(error, Mismatch) and error.details:
            found["error"]["mismatch"] = error.details
        screen.result(found)


def _error(kind: str, message: str, *problems: Problem) -> Report:
    found: Report = {"kind": kind, "message": message}
    if problems:
        found["problems"] = [asdict(problem) for problem in problems]
    return {"error": found}


class Commands(click.Group):
    """The group of commands. With ``--json``, a command line that cannot be read gives a JSON document as well."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Remember whether JSON was asked for: click knows only when it has understood everything."""
        context.obj = "--json" in args
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; click itself says what is wrong on standard error, with exit status 2."""
        try:
            return super().invoke(context)
        except click.UsageError as error:
            if context.obj:
                command = error.ctx.command_path if error.ctx else "dwn-hw"
                remedy = f"Try '{command} --help'."
                problem = Problem(
                    command, "a command line as --help shows it", error.format_message().rstrip("."), remedy
                )
                click.echo(json.dumps(_error("OptionError", str(problem), problem), indent=2))
            raise
