"""What several commands take."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem


def typed(context: click.Context, without: Collection[str] = ()) -> list[str]:
    """The command line that says what a command was given, on the command line or by the project file; ``without`` some.

    Of a path outside the present folder the name alone: where a person keeps files is nobody's business.
    """
    words = ["dwn-hw", str(context.command.name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        if context.get_parameter_source(name) is ParameterSource.DEFAULT or name in (*_OF_ONE_CALL, *without):
            continue
        value = context.params[name]
        for one in value if isinstance(value, tuple) else (value,):
            shown = one.name if isinstance(one, Path) and one.is_absolute() else str(one)
            option = [parameter.opts[-1]] if isinstance(parameter, click.Option) else []
            words += option if isinstance(one, bool) else [*option, shown]
    return words


#: What says how a command speaks, and not what it does.
_OF_ONE_CALL = ("as_json", "quiet", "debug")

#: The export directory that a command reads.
directory = click.argument("directory", type=click.Path(path_type=Path))


class _Board(click.ParamType[str]):
    """The name of a board, which a shell completes."""

    name = "BOARD"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The boards that begin so."""
        from dwn_hw.fpga import boards

        return [CompletionItem(key) for key in boards.names() if key.startswith(incomplete)]


#: The type of ``--board``; what does not know the board says so, with the nearest names.
BOARD = _Board()

#: Whether samples that likely are in other units are refused.
strict = click.option("--strict", is_flag=True, help="Refuse samples or labels that likely do not fit the network.")

#: The type of a rate in bits a second: what the calls of any operating system take.
BAUD = click.IntRange(min=1, max=2**31 - 1)

#: The type of a seed, which every generator of random numbers takes.
SEED = click.IntRange(min=0)
