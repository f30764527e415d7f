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

#: A token of JSON: a string, to be passed over whole, or what begins or ends a level. A string without an end goes to the end
#: of the text, so that no character is looked at twice.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)


def parse(text: str) -> Any:
    """The value of a document. Raises ValueError for one that is no JSON, nested too deep, or says a name twice."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise ValueError("JSON nested too deep")
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; Python's own reader takes the last of several values without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"JSON that says {twice[:60]!r} twice")
    return found
