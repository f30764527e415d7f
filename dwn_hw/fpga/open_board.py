"""A board with an export on it, real or simulated, as an object: opened, asked, and closed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dwn_hw import toolchain
from dwn_hw._json import Document
from dwn_hw._progress import Progress, silent, terminal
from dwn_hw.errors import OptionError, Problem
from dwn_hw.exports import reader
from dwn_hw.exports.reader import Exported
from dwn_hw.fpga import programming
from dwn_hw.frontend import table_files

if TYPE_CHECKING:
    from dwn_hw.fpga.serial_host import BoardLink

#: Seconds that a simulated board may take for what a real one does at once.
_VIRTUAL_PATIENCE = 60.0

#: What a port has unless something else is said.
_BAUD = 115_200


@contextlib.contextmanager
def opened(
    exported: Exported,
    *,
    port: str | None = None,
    virtual: bool = False,
    board: str | None = None,
    baud: int | None = None,
    progress: Progress = silent,
) -> Iterator[BoardLink]:
    """An open line to a board that holds an export: the one at ``port``, or a simulated one.

    ``board``: what it was built for, at the baud rate of that build. ``baud``: of the port; 115,200 where nothing says another.
    Raises OptionError for options that do not go together, ToolError where the line cannot be opened.
    """
    if (port is None) != virtual:
        got = "both" if virtual else "neither"
        raise OptionError(Problem("--port", "this or --virtual", got, "Give one of them."))
    if virtual and (board or baud):
        raise OptionError(Problem("--board" if board else "--baud", "with --port", "--virtual", "Leave it out."))
    try:
        from dwn_hw.fpga import serial_host, session
    except ModuleNotFoundError:
        raise toolchain.missing("pyserial") from None
    rate = baud or int((programming.built(exported, board) if board else {}).get("baud", _BAUD))
    layout = session.check(exported)
    with contextlib.ExitStack() as stack:
        patience = serial_host.PATIENCE
        if port is None:
            from dwn_hw.fpga import virtual_board

            port = stack.enter_context(virtual_board.board(exported, progress)).device
            patience = _VIRTUAL_PATIENCE
        yield serial_host.BoardLink(stack.enter_context(serial_host.open_line(port, rate)), layout, patience)


class Board:
    """A board that holds an export: ``with dwn_hw.Board("jets", virtual=True) as board: y, scores = board.predict(x)``.

    ``directory``: the export. ``port``: the board's serial port, say ``/dev/ttyUSB1``; or ``virtual=True`` for a simulated
    board. ``board``: what it was built for (``icebreaker``), at the baud rate of that build; ``baud``: another rate.
    ``progress``: as for the other functions of the API. The line is open inside the ``with`` statement.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        port: str | None = None,
        virtual: bool = False,
        board: str | None = None,
        baud: int | None = None,
        progress: Progress | bool = False,
    ) -> None:
        self._exported = reader.read_export(Path(directory))
        self._where: dict[str, Any] = {"port": port, "virtual": virtual, "board": board, "baud": baud}
        self._progress = progress
        self._stack = contextlib.ExitStack()
        self._line: BoardLink | None = None
        self._tell: Progress = silent

    def __enter__(self) -> Board:
        with contextlib.ExitStack() as stack:
            self._tell = stack.enter_context(terminal.asked(self._progress))
            self._line = stack.enter_context(opened(self._exported, **self._where, progress=self._tell))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *why: object) -> None:
        self._line = None
        self._stack.close()

    def predict(self, x: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
        """(classes (samples,), scores (samples, classes)) that the board gives for ``x`` in the user's own units.

        Scores are None where the port has none; export with ``scores=True`` for them. A network that ends in numbers gives its
        row in place of the classes. Raises ToolError where the board does not answer, or holds another network.
        """
        _, fields = self._session(x, None)
        scores = fields.get("scores")
        if "class" in fields:
            return fields["class"].reshape(-1), scores
        return fields["scores"], None

    def run(
        self,
        x: Any | None = None,
        y: npt.ArrayLike | None = None,
        *,
        compare: bool = False,
        self_test: bool = False,
        strict: bool = False,
    ) -> Document:
        """What happened with samples ``x`` and classes ``y`` on the board, as a report: ``dwn-hw run``. Raises Mismatch.

        ``compare``: every answer with the network; ``self_test``: the export's golden vectors first; ``strict``: refuse samples
        that likely are in other units.
        """
        report, _ = self._session(x, y, compared=compare, self_test=self_test, strict=strict)
        return report

    def _session(self, x: Any, y: npt.ArrayLike | None, **asked: bool) -> tuple[Document, dict[str, Any]]:
        from dwn_hw.fpga import session

        if self._line is None:
            rule, remedy = "used inside its with statement", "Write `with dwn_hw.Board(…) as board:`."
            raise OptionError(Problem("Board", rule, "a closed line", remedy))
        given = table_files.samples_of(x, y)
        report, answers = session.session(self._exported, self._line, given, **asked, progress=self._tell)
        return report, {} if answers is None else answers.fields
