"""What several commands take."""

from __future__ import annotations

from pathlib import Path

import click

#: The export directory that a command reads.
directory = click.argument("directory", type=click.Path(path_type=Path))

#: The type of a seed, which every generator of random numbers takes.
SEED = click.IntRange(min=0)
