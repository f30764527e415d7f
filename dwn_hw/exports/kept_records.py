"""Records of what was checked of an export, which stay in it for as long as its Verilog is the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from dwn_hw._json import Document
from dwn_hw.errors import Mismatch


@contextlib.contextmanager
def recorded(folder: Path, name: str) -> Iterator[Document]:
    """Keep what is put into the document as ``verify/NAME.json`` of an export, if nothing was raised; an older record is gone.

    What a Mismatch says is kept as ``verify/mismatch.json`` until a comparison finds none.
    """
    path, mismatch = folder / "verify" / f"{name}.json", folder / "verify" / "mismatch.json"
    path.unlink(missing_ok=True)
    record: Document = {}
    try:
        yield record
    except Mismatch as error:
        mismatch.parent.mkdir(exist_ok=True)
        mismatch.unlink(missing_ok=True)  # it may be a link
        mismatch.write_text(json.dumps({"message": str(error), **error.details}, indent=2) + "\n", "utf-8")
        raise
    mismatch.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
