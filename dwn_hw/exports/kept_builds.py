"""Programs that are built into an export directory, and kept there: run again only if this user built them.

An export can come from a stranger, with a simulator's program in it that does something else. What is kept is sealed with a key
that only this user has; what bears no seal, or is not what was sealed, is removed and built again.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from dwn_hw import _json

#: The files of a folder that are none of a build: its seal, and what a process holds while it works there.
_SEAL, _LOCK = "sealed.json", ".lock"


def is_kept(folder: Path, key: str) -> bool:
    """Whether ``folder`` holds just what :func:`keep` sealed there for ``key``; what others or runs added to it is removed.

    Where it does not, the folder is empty, or not there.
    """
    files = _sealed(folder, key)
    kept = {_LOCK} if files is None else {_LOCK, _SEAL, *files}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in kept:
            path.unlink()
    return files is not None


def is_sealed(folder: Path, key: str) -> bool:
    """Whether ``folder`` holds what :func:`keep` sealed there for ``key``, whatever lies beside it; nothing is removed."""
    return _sealed(folder, key) is not None


def keep(folder: Path, key: str) -> None:
    """Seal all files of a folder, as what was built for ``key``."""
    files = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name not in (_SEAL, _LOCK)
    }
    draft = folder / f"{_SEAL}.new"
    draft.write_text(json.dumps({"files": files, "seal": _seal(key, files)}), "utf-8")
    draft.replace(folder / _SEAL)


def _sealed(folder: Path, key: str) -> dict[str, str] | None:
    """The digest of each sealed file, or None where the seal is not this user's or a file is another."""
    try:
        found = _json.parse((folder / _SEAL).read_text("utf-8"))
        files = found["files"]
        right = hmac.compare_digest(str(found["seal"]), _seal(key, files))
        whole = right and all(_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return files if whole else None


def _digest(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seal(key: str, files: dict[str, str]) -> str:
    text = json.dumps([key, sorted(files.items())])
    return hmac.new(_secret(), text.encode(), hashlib.sha256).hexdigest()


def _own_folder() -> Path:
    """Where this user's key is kept."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "dwn-hw"


def cache_folder() -> Path:
    """Where what is the same for every export of this user is kept, and can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "dwn-hw"


@functools.cache
def _secret() -> bytes:
    """This user's key, made on first use; where none can be kept, one for this process."""
    path, made = _own_folder() / "seal", secrets.token_bytes(32)
    draft = path.with_name(f"seal.{os.getpid()}")
    with contextlib.suppress(OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.touch(0o600)
            draft.write_bytes(made)
            # Linked to its name when it is whole, so that another process never reads a part of it.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        if len(found := path.read_bytes()) == len(made):
            return found
    return made


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let one process of this user at a time work in ``folder``; ``waiting`` is called where another one does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
