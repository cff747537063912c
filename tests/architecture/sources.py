"""The files of the project as the rules of the house see them: everything that would be committed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"instance", "node_modules", "__pycache__", "tmp"}
BINARY = {".png", ".jpg", ".jpeg", ".webp", ".ico", ".woff", ".woff2", ".ttf", ".mo", ".gz", ".db"}


def project_files(*names: str) -> Iterator[Path]:
    """Yield the text files of the project, or of some folders of it."""
    for name in names or (".",):
        for folder, folders, files in os.walk(ROOT / name):
            folders[:] = [one for one in folders if one not in GENERATED and (one[0] != "." or one == ".ci")]
            for file in files:
                path = Path(folder, file)
                if path.suffix not in BINARY and not path.is_symlink():
                    yield path


def shown(path: Path) -> str:
    """Return the path as it is written in the project."""
    return str(path.relative_to(ROOT))
