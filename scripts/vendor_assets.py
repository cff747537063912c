"""Copies the browser libraries of the back office out of their npm packages into app/static/vendor.

Run it only to change a version: the result is committed, so nothing at build or run time needs node or npm.
`python scripts/vendor_assets.py` fetches and writes; `--check` compares committed files with the manifest.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR_DIR = Path(__file__).resolve().parent.parent / "app" / "static" / "vendor"
MANIFEST = VENDOR_DIR / "manifest.json"


@dataclass(frozen=True)
class Package:
    """One npm package: what is pinned, and which of its files are kept (source path → kept name)."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]
    licence: str = "LICENSE"
    icons: str = ""

    @property
    def folder(self) -> str:
        """Return the folder below vendor/, for example ``tabler-core-1.6.1``."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}"


# Outline icons used by templates, menus and actions; the names are Tabler's.
ICONS = """
adjustments alert-circle alert-triangle archive armchair arrow-back-up arrow-left arrow-right arrows-sort
bell bolt building-store calendar calendar-event calendar-off camera cash category chart-bar chart-line
chart-pie check checklist checks chevron-down chevron-left chevron-right chevron-up chevrons-left
chevrons-right circle circle-check circle-x clipboard-list clock clock-pause clock-play coin confetti
contrast-2 copy credit-card database device-desktop device-floppy dice discount door door-enter door-exit
dots dots-circle-horizontal dots-vertical download edit eraser external-link eye eye-off file-text filter
folder gift help-circle history home id inbox info-circle key language layout-dashboard list list-details
lock lock-open login logout mail map-pin menu-2 message message-2 moon news note package paperclip pencil
phone photo photo-off plus printer qrcode receipt receipt-refund receipt-yuan refresh reload repeat report
rotate scan scissors search selector send server settings shield shield-lock shopping-cart sort-ascending
sort-descending speakerphone square star sun switch-horizontal tag template ticket tool tools trash
trending-up upload user user-check user-circle user-plus user-shield users users-group video wallet x
zoom-check
"""

PACKAGES = (
    Package(
        "@tabler/core",
        "1.6.1",
        "lgmR9gcxRp5JlLxcmRi9Rz85JrEvH6Bz71KnlcPVSa97wtwQNjgSs3g3fxwbAlulHyRMghhIV04QUuW3pqDsIg==",
        {
            "dist/css/tabler.min.css": "css/tabler.min.css",
            "dist/css/tabler-vendors.min.css": "css/tabler-vendors.min.css",
            "dist/js/tabler.min.js": "js/tabler.min.js",
        },
        # The package carries no licence file; its README and the banner of every file name the MIT licence.
        licence="",
    ),
    Package(
        "@tabler/icons",
        "3.51.0",
        "0pinvPZz7YeX+OSfxuEAbnEPWbocVXW5iU8h5lh41pYG8sZuQfpWECC980lxOT0clGIcNGn8xsBr+zKaRGdA/g==",
        {},
        icons=ICONS,
    ),
    Package(
        "tom-select",
        "2.6.2",
        "eiXIkk82XzzUTOVQDFpy+ZGejuqdTvMukyUyeZBQaKnqW42UoTiTZnrod/eX0rkqJEc4rZY9DZ3zdjV07i29wQ==",
        {
            "dist/js/tom-select.complete.min.js": "tom-select.complete.min.js",
            "dist/css/tom-select.bootstrap5.min.css": "tom-select.bootstrap5.min.css",
        },
    ),
    Package(
        "flatpickr",
        "4.6.13",
        "97PMG/aywoYpB4IvbvUJi0RQi8vearvU0oov1WW3k0WZPBMrTQVqekSX5CjSG/M4Q3i6A/0FKXC7RyAoAUUSPw==",
        {
            "dist/flatpickr.min.js": "flatpickr.min.js",
            "dist/flatpickr.min.css": "flatpickr.min.css",
            "dist/l10n/zh.js": "l10n/zh.js",
            "dist/l10n/zh-tw.js": "l10n/zh-tw.js",
        },
        licence="LICENSE.md",
    ),
)

MIT_TEXT = """MIT License

Copyright (c) 2018-2026 The Tabler Authors
Copyright (c) 2018-2026 codecalm.net Paweł Kuna

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def fetch(package: Package, directory: Path) -> Path:
    """Download the package with npm and return the tarball; raises SystemExit on a wrong checksum."""
    command = [
        "npm",
        "pack",
        f"{package.name}@{package.version}",
        "--json",
        "--pack-destination",
        str(directory),
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    packed: str = json.loads(answer.stdout)[0]["filename"]
    tarball = directory / packed.replace("@", "").replace("/", "-")
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise SystemExit(
            f"{package.name}@{package.version}: sha512 is {digest}, recorded is {package.sha512}"
        )
    return tarball


def read_member(archive: tarfile.TarFile, path: str) -> bytes:
    """Return one file of the package; raises SystemExit when the package does not have it."""
    try:
        member = archive.extractfile(f"package/{path}")
    except KeyError:
        member = None
    if member is None:
        raise SystemExit(f"the package has no {path}")
    return member.read()


def build_sprite(archive: tarfile.TarFile, icons: str) -> bytes:
    """Return one SVG document with a ``<symbol>`` per icon, coloured by the text around it."""
    symbols = []
    for name in sorted(set(icons.split())):
        source = read_member(archive, f"icons/outline/{name}.svg").decode()
        body = re.sub(r"<!--.*?-->", "", source, flags=re.DOTALL)
        inner = re.search(r"<svg[^>]*>(.*)</svg>", body, flags=re.DOTALL)
        if inner is None:
            raise SystemExit(f"icon {name} cannot be read")
        shapes = re.sub(r"\s+", " ", inner.group(1)).replace(" />", "/>").strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def unpack(package: Package, tarball: Path) -> dict[str, bytes]:
    """Return what is kept of the package: path below vendor/ → content."""
    with tarfile.open(tarball) as archive:
        kept = {name: read_member(archive, source) for source, name in package.files.items()}
        if package.icons:
            kept["icons.svg"] = build_sprite(archive, package.icons)
        kept["LICENCE"] = read_member(archive, package.licence) if package.licence else MIT_TEXT.encode()
    return {f"{package.folder}/{name}": content for name, content in kept.items()}


def write_all() -> None:
    """Fetch every package, write the kept files and the manifest of their digests."""
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as directory:
        for package in PACKAGES:
            for path, content in unpack(package, fetch(package, Path(directory))).items():
                target = VENDOR_DIR / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                digests[path] = hashlib.sha512(content).hexdigest()
    manifest = {
        "packages": {
            package.name: {"version": package.version, "sha512": package.sha512} for package in PACKAGES
        },
        "files": dict(sorted(digests.items())),
    }
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def find_differences() -> list[str]:
    """Return one line per committed file that is missing, altered or not in the manifest."""
    recorded: dict[str, str] = json.loads(MANIFEST.read_text(encoding="utf-8"))["files"]
    present = {
        path.relative_to(VENDOR_DIR).as_posix(): hashlib.sha512(path.read_bytes()).hexdigest()
        for path in VENDOR_DIR.rglob("*")
        if path.is_file() and path != MANIFEST
    }
    missing = [f"missing: {path}" for path in recorded.keys() - present.keys()]
    unknown = [f"not in the manifest: {path}" for path in present.keys() - recorded.keys()]
    altered = [
        f"altered: {path}" for path in recorded.keys() & present.keys() if recorded[path] != present[path]
    ]
    return sorted(missing + unknown + altered)


def main() -> int:
    """Run the command line; 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the committed files with the manifest")
    if not parser.parse_args().check:
        write_all()
    differences = find_differences()
    print("\n".join(differences) or "vendored files match the manifest")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
