"""What is in the wheels, and what their names promise."""

import email
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from envoymesh import __version__
from envoymesh.native.modules import fingerprint
from envoymesh.sandbox import seed
from release.wheels import ROOT, TOOLS, build
from tests.conftest import missing

INFO = f"envoymesh-{__version__}.dist-info"
SEED = "envoymesh/sandbox/seed"
BUILT = "envoymesh/native/built"


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def text(wheel: Path, name: str) -> str:
    with ZipFile(wheel) as archive:
        return archive.read(name).decode()


def test_a_pure_wheel_is_for_every_machine_and_has_no_machine_code(pure_wheel: Path) -> None:
    assert pure_wheel.name == f"envoymesh-{__version__}-py3-none-any.whl"
    assert "Root-Is-Purelib: true\nTag: py3-none-any\n" in text(pure_wheel, f"{INFO}/WHEEL").replace("\r", "")
    assert not [name for name in names(pure_wheel) if name.endswith(".so") or name.startswith(BUILT)]


def test_every_file_of_the_package_is_in_it(pure_wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "envoymesh"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert set(listed) - names(pure_wheel) == set()
    assert "envoymesh/py.typed" in listed


def test_it_carries_the_sandbox_of_the_repository(pure_wheel: Path) -> None:
    carried = {name.removeprefix(f"{SEED}/") for name in names(pure_wheel) if name.startswith(f"{SEED}/")}
    assert carried == {str(each) for each in seed.files(ROOT)}
    assert all(text(pure_wheel, f"{SEED}/{name}") == (ROOT / name).read_text() for name in carried)
    assert not [name for name in carried if name.endswith((".key", ".crt", ".pem"))]


def test_its_metadata_tell_who_it_is_and_what_one_may_do_with_it(pure_wheel: Path) -> None:
    metadata = email.message_from_string(text(pure_wheel, f"{INFO}/METADATA"))
    assert (metadata["Name"], metadata["Version"], metadata["License-Expression"]) == (
        "envoymesh",
        __version__,
        "Apache-2.0",
    )
    assert set(metadata.get_all("Provides-Extra", [])) == {"dev", "native", "testing"}
    assert "# envoymesh" in str(metadata.get_payload())
    assert text(pure_wheel, f"{INFO}/licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert "envoymesh = envoymesh.cli:main" in text(pure_wheel, f"{INFO}/entry_points.txt")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what a wheel is built from, and files for compiled modules: of this Python, and of another."""
    copy = tmp_path / "sources"
    ignored = shutil.ignore_patterns("__pycache__", "built")
    shutil.copytree(ROOT / "envoymesh", copy / "envoymesh", ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", *map(str, seed.files(ROOT))):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    built = copy / BUILT
    built.mkdir()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    manifest = {"fingerprint": fingerprint(copy / "envoymesh"), "modules": {"a.b": f"a.b{suffix}"}}
    (built / f"{sysconfig.get_config_var('SOABI')}.json").write_text(json.dumps(manifest))
    for name in (f"a.b{suffix}", "a.b.cpython-399-other.so", "cpython-399-other.json"):
        (built / name).touch()
    return copy


def test_a_compiled_wheel_is_for_this_python_and_has_what_is_compiled_for_it(sources: Path, tmp_path: Path) -> None:
    wheel = build("compiled", tmp_path / "wheel", sources)
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name == f"envoymesh-{__version__}-{python}-{python}-{platform}.whl"
    assert "Root-Is-Purelib: false" in text(wheel, f"{INFO}/WHEEL")
    built = {name.removeprefix(f"{BUILT}/") for name in names(wheel) if name.startswith(BUILT)}
    assert built == {f"{sysconfig.get_config_var('SOABI')}.json", f"a.b{sysconfig.get_config_var('EXT_SUFFIX')}"}
    assert not (sources / "build").exists()


def test_a_pure_wheel_leaves_out_what_is_compiled(sources: Path, tmp_path: Path) -> None:
    wheel = build("pure", tmp_path / "wheel", sources)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in names(wheel) if name.startswith(BUILT)]


def test_a_compiled_wheel_without_a_compiler_is_an_error_in_words(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(sources / BUILT)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(subprocess.CalledProcessError):
        build("compiled", tmp_path / "wheel", sources)
    said = "".join(capfd.readouterr())
    assert "there is no C compiler ('no-such-compiler'" in said
    assert "ENVOYMESH_WHEEL=compiled, and it does not compile" in said


def test_another_word_for_the_kind_of_wheel_is_refused(
    sources: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build("fast", tmp_path / "wheel", sources)
    assert "ENVOYMESH_WHEEL=fast: only 'pure' and 'compiled' are known" in "".join(capfd.readouterr())


def test_cibuildwheel_is_asked_for_every_platform() -> None:
    program = TOOLS / "cibuildwheel"
    if not program.exists():
        missing("wheels", f"cibuildwheel is not at {program} (make wheels)")
    found = []
    for platform in ("linux", "macos"):
        command = [str(program), "--print-build-identifiers", "--platform", platform, str(ROOT)]
        found += subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    systems = ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"]
    systems += ["macosx_x86_64", "macosx_arm64"]
    assert sorted(found) == sorted(f"cp3{minor}-{system}" for minor in (11, 12, 13, 14) for system in systems)
