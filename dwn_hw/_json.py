"""The types of JSON, of which reports are made; reads JSON that may be nested deeper than Python's parser has a stack for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

#: A value that JSON has.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

#: A report, or a part of one, in plain values.
Document: TypeAlias = dict[str, Json]

#: The most levels of a document that is read: more than any file of ours has.
DEEPEST = 100

#: A token of JSON: a string, to be passed over whole, or what begins or ends a level.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]')


def parse(text: str) -> Any:
    """The value of a document. Raises ValueError for one that is no JSON, or nested too deep."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise ValueError("JSON nested too deep")
    return json.loads(text)
