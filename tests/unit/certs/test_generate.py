import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from certs.generate import CERTIFICATE_FILE, KEY_FILE, LIFETIME, generate, is_good, main

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs") / "new"
    assert generate(folder, NOW)
    return folder


def copied(pair: Path, folder: Path) -> Path:
    for name in (CERTIFICATE_FILE, KEY_FILE):
        (folder / name).write_bytes((pair / name).read_bytes())
    return folder


def test_the_certificate_is_the_fronts_own(pair: Path) -> None:
    certificate = x509.load_pem_x509_certificate((pair / CERTIFICATE_FILE).read_bytes())
    assert certificate.subject.rfc4514_string() == certificate.issuer.rfc4514_string() == "CN=front-envoy"
    certificate.verify_directly_issued_by(certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["front-envoy", "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]


def test_only_its_owner_reads_the_key_and_nothing_else_is_left(pair: Path) -> None:
    assert stat.S_IMODE((pair / KEY_FILE).stat().st_mode) == 0o600
    assert sorted(each.name for each in pair.iterdir()) == [CERTIFICATE_FILE, KEY_FILE]


def test_a_good_pair_is_kept_and_an_ending_one_is_made_anew(pair: Path, tmp_path: Path) -> None:
    folder = copied(pair, tmp_path)
    before = (folder / CERTIFICATE_FILE).read_bytes()
    assert not generate(folder, NOW + LIFETIME - timedelta(days=2))
    assert (folder / CERTIFICATE_FILE).read_bytes() == before
    later = NOW + LIFETIME - timedelta(hours=23)
    assert generate(folder, later)
    assert (folder / CERTIFICATE_FILE).read_bytes() != before
    assert is_good(folder, later)


@pytest.mark.parametrize("name", [CERTIFICATE_FILE, KEY_FILE])
def test_a_damaged_pair_is_not_good(pair: Path, tmp_path: Path, name: str) -> None:
    folder = copied(pair, tmp_path)
    assert is_good(folder, NOW)
    assert not is_good(folder, NOW - timedelta(days=1))
    (folder / name).write_text("damaged")
    assert not is_good(folder, NOW)
    (folder / name).unlink()
    assert not is_good(folder, NOW)


def test_a_key_of_another_certificate_is_not_good(pair: Path, tmp_path: Path) -> None:
    generate(tmp_path, NOW)
    (tmp_path / KEY_FILE).write_bytes((pair / KEY_FILE).read_bytes())
    assert not is_good(tmp_path, NOW)


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file")]) == 1
    assert "cannot write to" in capsys.readouterr().err
