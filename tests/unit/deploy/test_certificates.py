"""The certificates of a deployment: made once, made anew before they end, and the operator's own where he has them."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.deploy.certificates import NAMES, RENEW_DAYS, SERVER_DAYS, make_authority, make_server
from services.deploy.secrets import prepare
from shared.errors import Misconfigured

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def changed(folder: Path, now: datetime, renew: bool = False) -> set[str]:
    made = prepare(folder, clock=lambda: now, renew=renew)
    return {str(one.path.relative_to(folder)) for one in made if one.how != "kept"}


def test_they_say_what_they_are_for() -> None:
    authority = make_authority(NOW)
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    assert issuer.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    for names in NAMES.values():
        made = x509.load_pem_x509_certificate(make_server(authority, names, NOW).certificate)
        made.verify_directly_issued_by(issuer)
        found = made.extensions
        assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = found.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature and not usage.key_cert_sign
        assert ExtendedKeyUsageOID.SERVER_AUTH in found.get_extension_for_class(x509.ExtendedKeyUsage).value
        shown = found.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [*shown.get_values_for_type(x509.DNSName), *map(str, shown.get_values_for_type(x509.IPAddress))]
        assert hosts == list(names)
        assert ipaddress.ip_address("127.0.0.1") in shown.get_values_for_type(x509.IPAddress)


def test_they_are_kept_until_they_end_soon(tmp_path: Path) -> None:
    prepare(tmp_path, clock=lambda: NOW)
    assert changed(tmp_path, NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS - 1)) == set()
    both = {"nats/server.crt", "postgres/server.crt"}
    assert changed(tmp_path, NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS + 1)) == both
    assert changed(tmp_path, NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS + 2)) == set()
    assert changed(tmp_path, NOW, renew=True) == both


def test_a_new_authority_is_given_to_everybody(tmp_path: Path) -> None:
    prepare(tmp_path, clock=lambda: NOW)
    for name in ("ca.crt", "ca.key"):
        (tmp_path / "ca" / name).unlink()
    anew = changed(tmp_path, NOW)
    assert {"ca/ca.crt", "nats/server.crt", "postgres/server.crt", "nats/ca.crt", "clinic/ca.crt"} <= anew
    assert not [name for name in anew if not name.endswith(".crt")]


def test_a_certificate_of_another_key_is_made_anew(tmp_path: Path) -> None:
    """As when the machine stopped between the two files."""
    changed(tmp_path, NOW)
    other = make_server(make_authority(NOW), NAMES["nats"], NOW)
    (tmp_path / "nats" / "server.key").write_bytes(other.key)
    assert changed(tmp_path, NOW) == {"nats/server.crt"}
    assert changed(tmp_path, NOW) == set()


def test_an_authority_that_ends_too_soon_signs_nothing(tmp_path: Path) -> None:
    prepare(tmp_path, clock=lambda: NOW)
    with pytest.raises(Misconfigured, match=r"valid until 2036-11-23 alone. Remove the folder `ca`"):
        prepare(tmp_path, clock=lambda: NOW + timedelta(days=3600))


def test_the_operators_own_are_used_and_checked(tmp_path: Path) -> None:
    prepare(tmp_path, clock=lambda: NOW)
    (tmp_path / "ca" / "ca.key").unlink()
    assert changed(tmp_path, NOW + timedelta(days=SERVER_DAYS - 1)) == set()
    with pytest.raises(Misconfigured, match="are your own"):
        prepare(tmp_path, clock=lambda: NOW, renew=True)
    with pytest.raises(Misconfigured, match=r"nats/server.crt is valid from .* Put another"):
        prepare(tmp_path, clock=lambda: NOW + timedelta(days=SERVER_DAYS))
    (tmp_path / "nats" / "server.key").write_bytes((tmp_path / "postgres" / "server.key").read_bytes())
    with pytest.raises(Misconfigured, match=r"nats/server.key is not the key of nats/server.crt"):
        prepare(tmp_path, clock=lambda: NOW)
    (tmp_path / "nats" / "server.key").write_text("garbage")
    with pytest.raises(Misconfigured, match="cannot be read"):
        prepare(tmp_path, clock=lambda: NOW)
    (tmp_path / "nats" / "server.key").unlink()
    with pytest.raises(Misconfigured, match="are to be your own"):
        prepare(tmp_path, clock=lambda: NOW)


@pytest.mark.parametrize("text", ["", "garbage"])
def test_an_authority_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    prepare(tmp_path, clock=lambda: NOW)
    (tmp_path / "ca" / "ca.key").write_text(text)
    with pytest.raises(Misconfigured, match="cannot be used"):
        prepare(tmp_path, clock=lambda: NOW, renew=True)
