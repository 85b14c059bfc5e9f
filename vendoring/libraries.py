"""Read the lock file, take its packages from npm, make of them the files that a browser loads as they are.

What a package says is worth nothing: only bytes that have the hash of the lock file are written. This module must
not be imported by the package; it runs where somebody changes a version.
"""

import base64
import hashlib
import io
import re
import tarfile
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LOCK = HERE / "lock.toml"
FOLDER = HERE.parent / "envoymesh/page/static/vendor"
HASHES = "SHA256SUMS"
REGISTRY = "https://registry.npmjs.org"
_IMPORT = re.compile(r"""(?<=\bfrom)\s*(["'])([^"'./\s][^"'\s]*)\1""")
_SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=\S+\s*$")


class VendoringError(Exception):
    """A package is not what the lock file says."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of the lock file; `files` are paths in the package and the names they get here."""

    name: str
    version: str
    integrity: str
    files: dict[str, str]

    @property
    def url(self) -> str:
        """Where npm keeps it; the scope is not part of the file's name."""
        return f"{REGISTRY}/{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"


def locked() -> tuple[list[Package], dict[str, str]]:
    """The packages of the lock file, and what their imports become."""
    lock = tomllib.loads(LOCK.read_text())
    return [Package(**each) for each in lock["package"]], lock["imports"]


def verify(package: Package, archive: bytes) -> None:
    """Raise VendoringError unless `archive` has the hash that is locked."""
    kind, _, wanted = package.integrity.partition("-")
    found = base64.b64encode(hashlib.new(kind, archive).digest()).decode()
    if found != wanted:
        raise VendoringError(f"{package.name} {package.version}: {kind} is {found}, and lock.toml wants {wanted}")


def for_browsers(text: str, imports: dict[str, str], where: str) -> str:
    """A module whose imports are files beside it, without the name of a source map that is not kept."""

    def file(match: re.Match[str]) -> str:
        if match[2] not in imports:
            raise VendoringError(f"{where} imports {match[2]}, which [imports] of lock.toml does not name")
        return f'"./{imports[match[2]]}"'

    return _SOURCE_MAP.sub("\n", _IMPORT.sub(file, text))


def unpacked(package: Package, archive: bytes, imports: dict[str, str]) -> dict[str, bytes]:
    """Name here -> bytes, of the files that are kept."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for path, name in package.files.items():
            member = tar.extractfile(f"package/{path}")
            if member is None:
                raise VendoringError(f"{package.name} {package.version} has no file {path}")
            data = member.read()
            found[name] = for_browsers(data.decode(), imports, name).encode() if name.endswith(".js") else data
    return found


def hashes(files: dict[str, bytes]) -> str:
    """The lines of SHA256SUMS: which packages these are, and each file's hash."""
    packages, _ = locked()
    lines = [f"# {package.name} {package.version} {package.integrity}" for package in packages]
    lines += [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    return "\n".join(lines) + "\n"


def fetch() -> dict[str, bytes]:
    """All files, out of packages that have just been taken from npm."""
    packages, imports = locked()
    files: dict[str, bytes] = {}
    for package in packages:
        with urllib.request.urlopen(package.url, timeout=60) as answer:
            archive = answer.read()
        verify(package, archive)
        files |= unpacked(package, archive, imports)
    return files


def write(files: dict[str, bytes]) -> None:
    """Put the files and their hashes where the page serves them from, and take away what is no longer locked."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    (FOLDER / HASHES).write_text(hashes(files))
