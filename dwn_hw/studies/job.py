"""What a process has to know to work on a study."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from dwn_hw.studies import study_folder
from dwn_hw.studies.study_folder import Asked, Study


@dataclass(frozen=True, slots=True)
class Job:
    """What a process has to know: the study, its samples, how many ``trials`` there may be, and ``until`` when one may begin.

    ``until``: seconds since 1970, or None.
    """

    folder: str
    table: str
    test: str | None
    trials: int | None
    until: float | None

    @property
    def is_over(self) -> bool:
        """Whether no trial begins any more."""
        return self.until is not None and time.time() >= self.until

    def study(self) -> Study:
        """The study, with its samples read."""
        return study_folder.resume(
            Path(self.folder), Asked(Path(self.table), None if self.test is None else Path(self.test))
        )
