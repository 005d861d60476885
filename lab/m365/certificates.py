# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's certificate authority, the certificate of its servers, and the broken ones for faults."""
from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .directory import HOSTS

DAY = datetime.timedelta(days=1)
BROKEN = ("wrong_name", "expired", "untrusted")


def write(path: Path, content: bytes) -> None:
    """A file with a key in it is closed to others from its first byte, and never half there."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.rename(path)


def pem(key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(name: str, key, issuer=None, issuer_key=None, *, alternatives=(), days=(-7, 397)):
    """A certificate signed by the issuer; without an issuer a certificate authority of its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    authority = issuer is None
    signing_key = issuer_key or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(x509.KeyUsage(
            digital_signature=True, key_cert_sign=authority, crl_sign=authority, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


def authority(folder: Path):
    """The certificate authority: made once, so that relays which trust it go on doing so after a restart."""
    if not (folder / "ca.key").exists() or not (folder / "ca.pem").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificate("Lab root for Microsoft's names", key, days=(-7, 3650))
        write(folder / "ca.pem", made.public_bytes(serialization.Encoding.PEM))
        write(folder / "ca.key", pem(key))
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    return x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), key


def context(folder: Path, name: str, leaf, key) -> ssl.SSLContext:
    path = folder / f"{name}.pem"
    write(path, pem(key) + leaf.public_bytes(serialization.Encoding.PEM))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(path)
    return made


def contexts(folder: Path) -> dict[str, ssl.SSLContext]:
    """One TLS context for every kind of certificate that the lab can show: "good" and each of BROKEN."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root, root_key = authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(name) for name in (*HOSTS, "localhost")] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaves = {
        "good": certificate(HOSTS[0], key, root, root_key, alternatives=names),
        "wrong_name": certificate("wrong.example.org", key, root, root_key, alternatives=[x509.DNSName("wrong.example.org")]),
        "expired": certificate(HOSTS[0], key, root, root_key, alternatives=names, days=(-90, -1)),
        "untrusted": certificate(HOSTS[0], key, alternatives=names),
    }
    return {name: context(folder, name, leaf, key) for name, leaf in leaves.items()}
