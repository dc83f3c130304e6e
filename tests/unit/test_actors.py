"""Tokens by which actors show who they are: what is taken, what is refused and why, and keys that change meanwhile."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from prometheus_client import REGISTRY

from services.commands.common import TOKEN_FILE, Operator
from shared import actorkeys, actors, actortoken
from shared.actorkeys import PublicKey, make_private, publish, read_private, read_public, retire, rotate_issuer
from shared.actors import Held, Signed, Verifier, verifier
from shared.actortoken import LEEWAY, MAX_SECONDS, Reason, Signer, Unauthenticated
from shared.errors import Busy, Invalid, Misconfigured
from shared.masterkeys import replace_file
from shared.settings import load
from tests.support.actors import NOW, Keys, claims, keys_in, signed, wrong_tokens


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return keys_in(tmp_path)


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


def verifier_of(keys: Keys, clock: Clock | None = None, **more: int) -> Verifier:
    return Verifier(keys.public, service="inventory", chapter="local", clock=clock or Clock(), **more)


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("commons_actors_refused_total", {"service": "inventory", "reason": reason}) or 0


# -- what is taken ----------------------------------------------------------------------------------------------------


def test_who_acts_is_who_the_token_says(keys: Keys) -> None:
    actor = verifier_of(keys).verify(keys.token(roles=["steward", "volunteer"]))
    assert (actor.name, actor.authtype, actor.roles) == ("ada", "user", {"steward", "volunteer"})
    assert verifier_of(keys).verify(keys.token()).roles == set()


def test_a_process_is_who_its_own_key_signs_for(keys: Keys) -> None:
    token = signed(read_private(keys.process), claims(sub="fulfilling", authtype="process", roles=...))
    actor = verifier_of(keys).verify(token)
    assert (actor.name, actor.authtype) == ("fulfilling", "process")


def test_it_counts_from_its_making_to_its_end_and_a_little_for_clocks(keys: Keys) -> None:
    clock = Clock()
    token, one = keys.token(seconds=60), verifier_of(keys, clock)
    for now in (NOW - LEEWAY, NOW, NOW + 60 + LEEWAY - 1):
        clock.now = now
        assert one.verify(token).name == "ada"
    clock.now = NOW + 60 + LEEWAY
    with pytest.raises(Unauthenticated, match="over") as refused:  # although it was verified before
        one.verify(token)
    assert refused.value.reason is Reason.EXPIRED


def test_one_for_seven_days_is_the_longest(keys: Keys) -> None:
    assert verifier_of(keys).verify(keys.token(seconds=MAX_SECONDS))
    with pytest.raises(Invalid, match="at most"):
        keys.token(seconds=MAX_SECONDS + 1)


@pytest.mark.parametrize(
    ("actor", "services", "roles"),
    [("", ["inventory"], []), ("a b", ["inventory"], []), ("ada", [], []), ("ada", ["inventory"], ["Steward"]),
     ("ada", ["inventory"], ["r"] * 3 + [f"r{'x' * 40}"]), ("a" * 129, ["inventory"], [])],
)  # fmt: skip
def test_what_no_service_would_take_is_not_made(keys: Keys, actor: str, services: list[str], roles: list[str]) -> None:
    with pytest.raises(Invalid, match="no such token"):
        keys.signer().token(actor, services, roles=roles)


# -- what is not ------------------------------------------------------------------------------------------------------


def test_every_wrong_token_is_refused_for_what_is_wrong_with_it(keys: Keys) -> None:
    one = verifier_of(keys)
    wrong = wrong_tokens(keys)
    for name, (token, reason) in wrong.items():
        before = counted(reason)
        with pytest.raises(Unauthenticated) as refused:
            one.verify(token)
        problem = refused.value.problem()
        assert problem["reason"] == reason, name
        assert (problem["code"], problem["status"]) == ("UNAUTHENTICATED", 401), name
        assert counted(reason) == before + 1, name
        assert problem["detail"].endswith("Nothing was recorded.") and problem["detail"].isprintable(), name
        assert not token or len(token) < 9 or token not in str(problem), name
    assert {reason for _, reason in wrong.values()} == set(Reason) - {Reason.OTHER_ACTOR}


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_anything_but_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        actortoken.verified(text, {}, chapter="local", service="inventory", now=NOW)


@given(st.data())
def test_a_token_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    key = OKPKey.generate_key("Ed25519")
    known = {key.thumbprint(): PublicKey.of(key, "user")}
    token = signed(key, claims())
    assert actortoken.verified(token, known, chapter="local", service="inventory", now=NOW)
    place = data.draw(st.integers(0, len(token) - 3))  # the last character of base64 has bits that are not read
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."))
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        with pytest.raises(Unauthenticated):
            actortoken.verified(changed, known, chapter="local", service="inventory", now=NOW)


@pytest.mark.parametrize(("actor", "authtype"), [("eve", "user"), ("ada", "process"), ("Ada", "user")])
def test_an_envelope_that_names_another_is_refused(keys: Keys, actor: str, authtype: str) -> None:
    one = verifier_of(keys)
    shown = one.verify(keys.token())
    one.same(shown, "ada", "user")
    before = counted("other_actor")
    with pytest.raises(Unauthenticated) as refused:
        one.same(shown, actor, authtype)
    assert refused.value.reason is Reason.OTHER_ACTOR
    assert counted("other_actor") == before + 1


# -- the cache --------------------------------------------------------------------------------------------------------


def test_a_token_is_verified_once_and_not_many_are_remembered(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(token: str, *given: object, **more: object) -> object:
        done.append(token)
        return actortoken.verified(token, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(actors, "verified", noted)
    one = verifier_of(keys, remembered=2)
    first, second, third = (keys.token() for _ in range(3))
    for token in (first, second, first, first, third, first, second):
        one.verify(token)
    assert done == [first, second, third, second]  # the one that was used least recently was forgotten


def test_what_was_refused_is_not_remembered_as_good(keys: Keys) -> None:
    one = verifier_of(keys)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            one.verify(keys.token()[:-4])


# -- keys that change -------------------------------------------------------------------------------------------------


def test_a_new_key_counts_at_once_and_the_old_one_for_as_long_as_its_tokens(keys: Keys) -> None:
    clock = Clock()
    clock.now = time.time()
    one, old = verifier_of(keys, clock), keys.signer().token("ada", ["inventory"], seconds=MAX_SECONDS)
    one.verify(old)
    before = read_private(keys.issuer).thumbprint()
    key, given_up = rotate_issuer(keys.issuer, keys.public, lasts=MAX_SECONDS + LEEWAY)
    assert [one.kid for one in given_up] == [before] and key.kid != before
    assert one.verify(keys.signer().token("ada", ["inventory"])).name == "ada"
    assert one.verify(old).name == "ada"
    clock.now += MAX_SECONDS + LEEWAY + 1
    with pytest.raises(Unauthenticated) as refused:
        one.verify(old)
    assert refused.value.reason is Reason.UNKNOWN_KEY
    assert retire(keys.public) == []  # by the clock on the wall it still counts


def test_what_is_remembered_counts_no_longer_than_its_key(keys: Keys) -> None:
    clock = Clock()
    clock.now = time.time()
    token = keys.signer().token("ada", ["inventory"], seconds=3600)
    rotate_issuer(keys.issuer, keys.public, lasts=60)
    one = verifier_of(keys, clock)
    assert one.verify(token)
    clock.now += 61
    with pytest.raises(Unauthenticated) as refused:
        one.verify(token)
    assert refused.value.reason is Reason.UNKNOWN_KEY


def test_forged_tokens_do_not_take_a_services_time(keys: Keys) -> None:
    """Past some hundreds at once a signature is not even looked at; who was seen before goes on."""
    one, token = verifier_of(keys), keys.token()
    one.verify(token)
    said = []
    for number in range(3_000):
        try:
            one.verify(f"{token[:-8]}{number:08}")
        except (Unauthenticated, Busy) as error:
            said.append(error.code)
    assert said.count("UNAUTHENTICATED") < 3_000 and said[-1] == "BUSY"
    assert one.verify(token).name == "ada"


def test_no_more_keys_are_written_than_are_read(keys: Keys) -> None:
    for _ in range(62):
        rotate_issuer(keys.issuer, keys.public, lasts=MAX_SECONDS)
    with pytest.raises(Misconfigured, match="Nothing was changed"):
        rotate_issuer(keys.issuer, keys.public, lasts=MAX_SECONDS)
    known = read_public(keys.public)
    assert read_private(keys.issuer).thumbprint() in known


def test_a_token_that_others_may_read_is_not_used(keys: Keys, tmp_path: Path) -> None:
    held = tmp_path / "token"
    held.write_text(keys.token())
    held.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        Held(held).token("ada", "user", "inventory")
    held.chmod(0o600)
    assert Held(held).token("ada", "user", "inventory") == held.read_text()


def test_somebody_looks_in_the_roles_that_the_token_they_were_given_carries(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, theirs = tmp_path / "token", ["clinician", "auditor"]
    monkeypatch.delenv(TOKEN_FILE, raising=False)
    assert Operator().acting_in(theirs) == theirs
    replace_file(held, keys.token(roles=["auditor", "trainee"]).encode())
    monkeypatch.setenv(TOKEN_FILE, str(held))
    assert Operator().acting_in(theirs) == ["auditor"]
    assert Operator(mandate="board/2026-11").acting_in(theirs) == ["auditor"]
    assert Operator(mandate="clinician").acting_in(theirs) == []


def test_a_stolen_key_counts_no_more_within_a_second(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    one, stolen = verifier_of(keys), keys.token()
    one.verify(stolen)
    _, given_up = rotate_issuer(keys.issuer, keys.public, lasts=MAX_SECONDS, at_once=True)
    assert given_up == []
    monkeypatch.setattr(one, "_look_at", 0.0)
    with pytest.raises(Unauthenticated) as refused:
        one.verify(stolen)
    assert refused.value.reason is Reason.UNKNOWN_KEY


def test_keys_whose_time_is_over_are_taken_out(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (old,) = rotate_issuer(keys.issuer, keys.public, lasts=3600)
    monkeypatch.setattr(actorkeys.time, "time", lambda: NOW * 2.0)
    assert [one.kid for one in retire(keys.public)] == [old.kid]
    assert old.kid not in read_public(keys.public)
    assert retire(keys.public) == []


def test_a_file_of_keys_that_breaks_leaves_the_keys_as_they_were(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    one, whole = verifier_of(keys), keys.public.read_bytes()
    for broken in (b"", b"{", None):
        keys.public.unlink() if broken is None else keys.public.write_bytes(broken)
        monkeypatch.setattr(one, "_look_at", 0.0)
        assert one.verify(keys.token())
    keys.public.write_bytes(b'{"keys": []} ')  # which is whole, and trusts nobody
    monkeypatch.setattr(one, "_look_at", 0.0)
    with pytest.raises(Unauthenticated):
        one.verify(keys.token())
    keys.public.write_bytes(whole)
    monkeypatch.setattr(one, "_look_at", 0.0)
    assert one.verify(keys.token())


def test_what_was_rotated_stays_when_the_public_file_is_made_again(keys: Keys) -> None:
    rotate_issuer(keys.issuer, keys.public, lasts=3600)
    before = read_public(keys.public)
    own = {
        "issuer": PublicKey.of(read_private(keys.issuer), "user"),
        "distribution": PublicKey.of(read_private(keys.process), "process", ("fulfilling",)),
    }
    assert not publish(keys.public, own)
    assert set(read_public(keys.public)) == set(before)
    own["distribution"] = PublicKey.of(make_private(keys.process), "process", ("fulfilling",))
    assert publish(keys.public, own)
    assert len(read_public(keys.public)) == len(before)  # the process's old key counts no more


_X = b"A" * 43
_WRONG_SETS = {
    "nothing": b"",
    "no set": b'{"kid": "x"}',
    "a private key": b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "%s", "d": "%s", "kid": "k"}]}' % (_X, _X),
    "another curve": b'{"keys": [{"kty": "OKP", "crv": "Ed448", "x": "%s", "kid": "k", "alg": "Ed25519", "use": "sig", '
    b'"commons_authtype": "user"}]}' % _X,
    "too large": b" " * 70_000,
}  # fmt: skip


@pytest.mark.parametrize("name", _WRONG_SETS)
def test_a_public_file_that_is_none_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "actors.jwks"
    path.write_bytes(_WRONG_SETS[name])
    with pytest.raises(Misconfigured, match=r"actors\.jwks"):
        read_public(path)
    path.unlink()
    with pytest.raises(Misconfigured, match="No such file"):
        read_public(path)


def test_a_private_key_that_cannot_be_used_is_refused_without_being_shown(keys: Keys) -> None:
    whole = json.loads(keys.issuer.read_text())
    other = json.loads(keys.process.read_text())
    for wrong in ("", "{}", json.dumps(whole | {"d": "short"}), json.dumps(whole | {"d": other["d"]}),
                  json.dumps(whole | {"kid": other["kid"]}), json.dumps(whole | {"more": 1})):  # fmt: skip
        keys.issuer.write_text(wrong)
        with pytest.raises(Misconfigured) as refused:
            read_private(keys.issuer)
        assert str(keys.issuer) in refused.value.detail
        assert whole["d"] not in refused.value.detail and other["d"] not in refused.value.detail
    keys.process.chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        read_private(keys.process)


def test_a_rotation_keeps_the_owner_and_the_mode(keys: Keys) -> None:
    if os.geteuid() == 0:
        os.chown(keys.issuer, 10001, 10001)
    rotate_issuer(keys.issuer, keys.public, lasts=60)
    found = keys.issuer.stat()
    assert found.st_mode & 0o777 == 0o600 and keys.public.stat().st_mode & 0o777 == 0o644
    assert os.geteuid() != 0 or found.st_uid == 10001


def test_a_service_does_not_start_without_keys(keys: Keys) -> None:
    with pytest.raises(Misconfigured, match="COMMONS_ACTOR_KEYS"):
        verifier(load({}), "inventory")
    with pytest.raises(Misconfigured, match="cannot be read"):
        verifier(load({"COMMONS_ACTOR_KEYS": str(keys.folder / "none")}), "inventory")


# -- senders ----------------------------------------------------------------------------------------------------------


def test_a_senders_token_is_made_once_a_while(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Signed(keys.signer(), lambda service: [f"{service}_role"])
    first = tokens.token("ada", "user", "inventory")
    assert tokens.token("ada", "user", "inventory") == first
    assert tokens.token("ben", "user", "inventory") != first != tokens.token("ada", "user", "treasury")
    assert actortoken.unverified(first)[1].roles == ["inventory_role"]
    later = time.time() + 200
    monkeypatch.setattr(actors.time, "time", lambda: later)
    assert tokens.token("ada", "user", "inventory") != first


def test_a_token_that_is_held_is_its_holders_alone(keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = keys.token()
    path.write_text(f"{token}\n")
    path.chmod(0o600)
    held = Held(path)
    assert (held.actor, held.token("ada", "user", "inventory")) == ("ada", token)
    with pytest.raises(Unauthenticated, match="not of eve"):
        held.token("eve", "user", "inventory")
    path.write_bytes(os.urandom(5000))
    with pytest.raises(Unauthenticated):
        held.token("ada", "user", "inventory")
    path.unlink()
    with pytest.raises(Misconfigured, match="cannot be read"):
        held.token("ada", "user", "inventory")


def test_a_signer_of_another_chapter_is_told_apart(keys: Keys) -> None:
    token = Signer.from_file(keys.issuer, "elsewhere").token("ada", ["inventory"], now=NOW)
    with pytest.raises(Unauthenticated) as refused:
        verifier_of(keys).verify(token)
    assert refused.value.reason is Reason.OTHER_CHAPTER
