"""What several commands take."""

from __future__ import annotations

from pathlib import Path

import click

#: The export directory that a command reads.
directory = click.argument("directory", type=click.Path(path_type=Path))

#: Whether samples that likely are in other units are refused.
strict = click.option("--strict", is_flag=True, help="Refuse samples or labels that likely do not fit the network.")

#: The type of a rate in bits a second: what the calls of any operating system take.
BAUD = click.IntRange(min=1, max=2**31 - 1)

#: The type of a seed, which every generator of random numbers takes.
SEED = click.IntRange(min=0)
