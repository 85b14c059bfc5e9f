"""Makes the front's self-signed certificate and its private key in a folder, unless a good pair is there already.

The key stays on the machine that made it: it must never be committed, printed or readable by others.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "front-envoy"
CERTIFICATE_FILE = f"{NAME}.crt"
KEY_FILE = f"{NAME}.key"
DNS_NAMES = (NAME, "localhost")
ADDRESSES = ("127.0.0.1", "::1")
KEY_BITS = 2048
LIFETIME = timedelta(days=365)
# A pair that ends sooner is made anew.
REST = timedelta(days=1)


def generate(folder: Path, now: datetime) -> bool:
    """Put CERTIFICATE_FILE and KEY_FILE into `folder`, which is made if needed.

    Returns whether a new pair was made: False when the one there belongs together and lasts beyond `now` + REST.
    Errors: OSError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if is_good(folder, now):
        return False
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    certificate = self_signed(key, now)
    write(folder / KEY_FILE, key_pem(key), 0o600)
    write(folder / CERTIFICATE_FILE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return True


def is_good(folder: Path, now: datetime) -> bool:
    """Whether the folder's pair can be read, belongs together and is valid beyond `now` + REST."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
        key = serialization.load_pem_private_key((folder / KEY_FILE).read_bytes(), password=None)
    except (OSError, ValueError):
        return False
    lasts = certificate.not_valid_before_utc <= now and now + REST < certificate.not_valid_after_utc
    return lasts and key.public_key() == certificate.public_key()


def self_signed(key: rsa.RSAPrivateKey, now: datetime) -> x509.Certificate:
    """A certificate of CN=front-envoy, issued by itself, for NAME, localhost and the loopback addresses."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = [x509.DNSName(each) for each in DNS_NAMES]
    addresses = [x509.IPAddress(ip_address(each)) for each in ADDRESSES]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ a little between machines.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def key_pem(key: rsa.RSAPrivateKey) -> bytes:
    """The key as unencrypted PKCS #8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all; nobody can read it before it has its mode."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def main(arguments: list[str]) -> int:
    """generate.py FOLDER. Returns the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: generate.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        made = generate(folder, datetime.now(UTC))
    except OSError as error:
        print(f"generate.py: cannot write to {folder}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{folder / CERTIFICATE_FILE}: {'made' if made else 'still good'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
