"""Help of a command with many options, by groups."""

from __future__ import annotations

from typing import Any

import click


class GroupedCommand(click.Command):
    """A command whose help shows options in ``groups`` (title, names of parameters), and the others, as usual, last."""

    def __init__(self, *arguments: Any, groups: tuple[tuple[str, tuple[str, ...]], ...] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section a group."""
        shown = {str(one.name): record for one in self.get_params(ctx) if (record := _record(one, ctx))}
        known = {name for _, names in self.groups for name in names}
        others = tuple(name for name in shown if name not in known)
        for title, names in (*self.groups, ("Options", others)):
            if records := [shown[name] for name in names if name in shown]:
                with formatter.section(title):
                    formatter.write_dl(records)


def _record(one: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    """What help says of an option; arguments stand in the usage."""
    return one.get_help_record(ctx) if isinstance(one, click.Option) else None
