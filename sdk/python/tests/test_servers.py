"""What only a server has: keys, certificates, and ends that are not ours."""

from __future__ import annotations

import datetime
import ipaddress
import os
import time
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from server import REPOSITORY, Server, program_file
from vecdb import (
    DeadlineExceededError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    VecDBClient,
    VecDBError,
)

ADMIN, READER = "admin-key-of-the-tests", "reader-key-of-the-tests"


def test_keys_open_what_they_cover(tmp_path: Path) -> None:
    keys = [
        {"name": "admin", "key": ADMIN, "access": "admin"},
        {"name": "reader", "key": READER, "access": "read"},
    ]
    with Server(tmp_path, config={"auth": {"keys": keys}}) as server:
        with VecDBClient(server.address, api_key=ADMIN) as admin:
            admin.create_collection("c", 2, "l2")
            admin.upsert("c", [{"id": 1, "vector": [0, 1]}])
        with VecDBClient(server.address, api_key=READER) as reader:
            assert reader.search("c", [0, 1]).ids == [1]
            with pytest.raises(PermissionDeniedError):
                reader.upsert("c", [{"id": 2, "vector": [0, 1]}])
            with pytest.raises(PermissionDeniedError):
                reader.drop_collection("c")
        for wrong in (None, "another-key-of-nobody"):
            with VecDBClient(server.address, api_key=wrong) as client, pytest.raises(UnauthenticatedError):
                client.count("c")


class Authority:
    """Signs certificates for the tests."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self._key, authority=True)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A certificate for 127.0.0.1 and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._sign(name, key, authority=False), text

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)


def test_connections_are_encrypted_and_both_sides_known(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    certificate, key = authority.issue("server")
    for name, text in {"server.pem": certificate, "server.key": key, "ca.pem": authority.certificate}.items():
        (tmp_path / name).write_bytes(text)
    tls = {name: str(tmp_path / file) for name, file in (("certificate", "server.pem"), ("key", "server.key"), ("client_ca", "ca.pem"))}
    with Server(tmp_path, config={"tls": tls}) as server:
        mine, my_key = authority.issue("client")
        url = f"https://{server.address}"
        with VecDBClient(
            url, ca_certificate=tmp_path / "ca.pem", client_certificate=mine, client_key=my_key
        ) as client:
            client.create_collection("c", 2, "l2")
            assert client.count("c") == 0
        theirs, their_key = stranger.issue("client")
        for certificates in (
            {"ca_certificate": authority.certificate},
            {"ca_certificate": authority.certificate, "client_certificate": theirs, "client_key": their_key},
            {"ca_certificate": stranger.certificate, "client_certificate": mine, "client_key": my_key},
        ):
            with VecDBClient(url, retries=0, timeout=5, **certificates) as client, pytest.raises(VecDBError):  # type: ignore[arg-type]
                client.count("c")
        with VecDBClient(f"http://{server.address}", retries=0, timeout=5) as plain, pytest.raises(VecDBError):
            plain.count("c")


def test_certificates_that_are_not_there_or_not_whole_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="nowhere.pem"):
        VecDBClient("https://localhost:1", ca_certificate=tmp_path / "nowhere.pem")
    with pytest.raises(InvalidArgumentError, match="key"):
        VecDBClient("https://localhost:1", client_certificate=b"x")
    with pytest.raises(InvalidArgumentError):
        VecDBClient("ftp://localhost:1")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    begun = time.monotonic()
    with VecDBClient("127.0.0.1:1", retries=1, timeout=10) as client, pytest.raises(UnavailableError):
        client.status()
    assert time.monotonic() - begun < 10


def test_what_was_acknowledged_survives_a_kill_and_the_client_comes_back(tmp_path: Path) -> None:
    first = Server(tmp_path)
    port = int(first.address.rsplit(":", 1)[1])
    with VecDBClient(first.address, retries=10, timeout=30) as client:
        client.create_collection("c", 8, "l2")
        client.upsert("c", np.eye(8, dtype=np.float32), ids=range(8))
        first.kill()
        with Server(tmp_path, port=port):
            assert client.count("c") == 8
            assert client.search("c", np.eye(8)[3], limit=1).ids == [3]


def test_a_bulk_load_over_the_network_is_whole(server: Server, name: str) -> None:
    rows = np.random.default_rng(5).standard_normal((20_000, 32)).astype(np.float32)
    told: list[int] = []
    with VecDBClient(server.address) as client:
        client.create_collection(name, 32, "l2", "flat")
        written = client.upsert(name, rows, ids=range(len(rows)), batch_size=500, progress=lambda done, of: told.append(done))
        assert written.inserted == 20_000
        assert told == list(range(500, 20_001, 500))
        assert client.count(name) == 20_000
        assert client.search(name, rows[12_345], limit=1).ids == [12_345]


def test_a_callback_that_fails_ends_the_load(server: Server, name: str) -> None:
    def fail(done: int, of: int | None) -> None:
        raise RuntimeError("enough")

    with VecDBClient(server.address) as client:
        client.create_collection(name, 2, "l2")
        points = ({"id": i, "vector": [i, 0]} for i in range(100_000))
        with pytest.raises(RuntimeError, match="enough"):
            client.upsert(name, points, batch_size=10, progress=fail)
        assert 0 < client.count(name) < 1000
        assert len(list(points)) > 90_000


def test_certificates_go_with_encrypted_connections_only() -> None:
    with pytest.raises(InvalidArgumentError, match="write https://"):
        VecDBClient("localhost:1", ca_certificate=Authority().certificate)


def test_the_program_is_looked_for_where_it_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tmp_path / "debug" / "vecdb"
    monkeypatch.delenv("VECDB_PROGRAM", raising=False)
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=str(built)):
        program_file()
    built.parent.mkdir()
    built.touch()
    assert program_file() == built
    monkeypatch.setenv("CARGO_TARGET_DIR", os.path.relpath(tmp_path, REPOSITORY))
    assert program_file().samefile(built)
    monkeypatch.setenv("VECDB_PROGRAM", str(tmp_path))
    assert program_file() == tmp_path
