"""Pictures and videos on the local disk."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from app.gateways.ports import GatewayUnavailable, MediaNotFound

# Every part begins with a letter or digit, so neither `..` nor a hidden file can be named.
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", re.ASCII)
_MAX_KEY_LENGTH = 200
_URL_PREFIX = "/media/"


class LocalMediaStorage:
    """Keeps each file at *root*/key; a key that is not well formed names nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def save(self, key: str, content: bytes) -> None:
        """Write beside the target and rename, so that readers see the old file or the whole new one."""
        target = self._path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(target, content)
        except OSError as error:
            raise GatewayUnavailable(
                f"the file could not be stored (errno {error.errno})", outcome_unknown=False
            ) from error

    def read(self, key: str) -> bytes:
        """Return the content; raises MediaNotFound."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise MediaNotFound("no file under this key") from None

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        try:
            self._path(key).unlink(missing_ok=True)
        except (MediaNotFound, NotADirectoryError, IsADirectoryError):
            return

    def url(self, key: str) -> str:
        """Return the address of the file below this site's root."""
        self._path(key)
        return _URL_PREFIX + key

    def _path(self, key: str) -> Path:
        if len(key) > _MAX_KEY_LENGTH or not _KEY.fullmatch(key):
            raise MediaNotFound("no file can have this key")
        return self._root / key


def _write_whole(target: Path, content: bytes) -> None:
    # The name begins with a dot, which no key can name, so a half-written file is never served.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".upload-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; the web server in front may run as another user.
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
