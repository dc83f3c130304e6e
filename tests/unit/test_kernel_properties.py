"""What holds whatever comes: garbage from outside never becomes anything but a refusal, and memory forgets nothing."""

from __future__ import annotations

import contextlib
import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import shared.remembered
from shared.contract import kebab
from shared.errors import Corrupt, Invalid, LedgerError, Misconfigured, TooLarge, as_problem
from shared.event import MAX_EVENT_BYTES, NAMESPACE, Envelope, decode, encode, event_id
from shared.message import decode_reply, encode_refusal, parse_command
from shared.remembered import Kept, Remembered, Segment, key_of, name_key
from shared.settings import Settings, load
from shared.types import is_id
from tests.support.kiosk import kiosk

NAMES = [field.alias for field in Settings.model_fields.values()]
TYPE = "commons.kiosk.take-ticket"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# -- settings ------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*NAMES, "PATH", "OTHER"]), st.text(max_size=30)))
@example({"COMMONS_HTTP_PORT": "0x10"})
@example({"COMMONS_LANES": "9" * 5000})
@example({"COMMONS_CHAPTER": "a\n"})
@example({"DATABASE_URL": "postgresql://\ud800"})
def test_an_environment_is_used_or_refused_by_name(environment: dict[str, str]) -> None:
    refusal: Misconfigured | None = None
    try:
        settings = load(environment)
    except Misconfigured as refused:
        refusal = refused
    if refusal is not None:
        assert any(f"{name}=" in refusal.detail for name in environment), refusal
        assert len(refusal.detail) < 3000
    else:
        assert settings.monitoring_url.startswith(("http://", "https://"))
        assert is_id(settings.chapter)
        for name, field in ((field.alias, name) for name, field in Settings.model_fields.items()):
            if environment.get(name or "", "") == "":
                assert getattr(settings, field) == Settings.model_fields[field].default


@pytest.mark.parametrize(
    ("url", "monitoring"),
    [
        ("nats://127.0.0.1:4222", "http://127.0.0.1:8222"),
        ("nats://nats", "http://nats:8222"),
        ("nats://user:secret@nats:4222", "http://nats:8222"),
        ("nats://a:4222,nats://b:4222", "http://a:8222,http://b:8222"),
        ("nats://a:4222,b:4222", "http://a:8222,http://b:8222"),
        ("nats://[::1]:4222", "http://[::1]:8222"),
        ("nats://[::1]", "http://[::1]:8222"),
        ("nats://nats:4222/", "http://nats:8222"),
    ],
)
def test_the_monitoring_address_is_derived_from_the_servers(url: str, monitoring: str) -> None:
    assert load({"NATS_URL": url}).monitoring_url == monitoring


# -- commands ------------------------------------------------------------


def parsed(raw: bytes) -> Any:
    message = parse_command(raw, TYPE)
    return kiosk.parse("take-ticket", bytes(message.data))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises((Invalid, TooLarge)) as refused:
        parsed(raw)
    json.loads(encode_refusal(refused.value))


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "specversion": st.just("1.0") | json_values, "id": st.just("c-1") | json_values, "source": json_values,
            "type": st.just(TYPE) | json_values, "authid": st.just("sam") | json_values, "authtype": json_values,
            "correlationid": json_values, "traceparent": json_values, "x": json_values,
            "data": st.fixed_dictionaries(
                {}, optional={"counter": st.just("a") | json_values, "holder": st.just("b") | json_values,
                              "remark": json_values, "occurred_at": json_values, "x": json_values},
            ) | json_values,
        },
    )
)  # fmt: skip
def test_almost_a_command_is_taken_or_refused(message: Any) -> None:
    raw = json.dumps(message).encode()
    refusal: LedgerError | None = None
    try:
        command = parsed(raw)
    except (Invalid, TooLarge) as refused:
        refusal = refused
    if refusal is not None:
        document = json.loads(encode_refusal(refusal))
        assert decode_reply(encode_refusal(refusal)).status == "refused"
        assert len(document["problem"]["detail"]) < 2500
    else:
        assert is_id(command.counter)
        assert msgspec.json.decode(msgspec.json.encode(command), type=type(command)) == command


@given(
    st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(list(kiosk.commands)),
)
def test_arbitrary_data_is_refused_by_every_command(raw: bytes, name: str) -> None:
    with contextlib.suppress(LedgerError):
        assert isinstance(kiosk.parse(name, raw), kiosk.commands[name].cls)


@given(st.dictionaries(st.text(), st.integers() | st.floats() | st.text() | st.binary() | st.just(object())))
def test_an_arbitrary_mapping_is_refused_by_every_command(data: dict[str, Any]) -> None:
    for name in kiosk.commands:
        with pytest.raises(Invalid):
            kiosk.parse(name, data)


@given(st.text())
def test_ids_are_one_token_of_a_subject(text: str) -> None:
    if is_id(text):
        assert not set(text) & set(".*> \t\r\n/$:") and text.isascii() and 0 < len(text) <= 64
    assert not is_id(text + "\n")


# -- events ------------------------------------------------------------


@given(st.binary(max_size=400) | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_in_a_stream_are_corrupt(raw: bytes) -> None:
    assert_corrupt(raw)


DEEP = {
    "objects": b'{"data":' * 50_000, "lists": b"[" * 100_000, "not UTF-8": b'{"id":"\xff"}',
    "UTF-16": b"\xff\xfe{\x00}\x00",
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_what_no_parser_likes_in_a_stream_is_corrupt(name: str) -> None:
    assert_corrupt(DEEP[name])
    assert_corrupt(encode(envelope())[:-1] + b',"data":' + DEEP[name] + b"}")
    with pytest.raises(Corrupt, match="jar-changed"):
        kiosk.decode("commons.kiosk.jar-changed.v1", DEEP[name], "jar/a")


def assert_corrupt(raw: bytes) -> None:
    with pytest.raises(Corrupt) as refused:
        _ = decode(raw, stream="KIOSK", sequence=7, subject="ledger.kiosk.jar.a", contract=kiosk).data
    assert "7" in refused.value.detail and "KIOSK" in refused.value.detail


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def envelope(**members: Any) -> Envelope:
    made: dict[str, Any] = {
        "specversion": "1.0", "id": "x", "source": "/x", "type": "commons.kiosk.jar-changed.v1", "subject": "jar/a",
        "time": "2026-11-20T09:00:00.000000Z", "dataschema": "x", "datacontenttype": "application/json", "revision": 1,
        "prevhash": "0" * 64, "correlationid": "c", "causationid": "c", "authtype": "user", "authid": "sam",
    }  # fmt: skip
    return Envelope(**{**made, **members})


@given(texts, texts, st.integers(-(2**53) + 1, 2**53 - 1), st.none() | texts)
def test_what_is_encoded_is_decoded_the_same(correlation: str, actor: str, amount: int, mandate: str | None) -> None:
    changed = kiosk.events["JarChanged"].cls(jar="a", by=amount, left=-amount)
    raw = encode(envelope(correlationid=correlation, authid=actor, mandate=mandate, data=changed))
    event = decode(raw, contract=kiosk)
    assert event.data == changed
    found = event.envelope
    assert (found.correlationid, found.authid, found.mandate) == (correlation, actor, mandate)
    assert json.loads(raw)["data"]["by"] == amount


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_data_in_an_event_is_corrupt(data: bytes) -> None:
    for name, spec in kiosk.events.items():
        with pytest.raises(Corrupt, match=kebab(name)):
            kiosk.decode(spec.type, data, "jar/a")


def test_an_event_is_at_most_60_000_bytes() -> None:
    room = MAX_EVENT_BYTES - len(encode(envelope(data={"text": ""})))
    assert len(encode(envelope(data={"text": "x" * room}))) == 60_000
    with pytest.raises(TooLarge, match="60,001 bytes"):
        encode(envelope(data={"text": "x" * (room + 1)}))


@given(texts, texts)
def test_an_events_id_is_the_uuid_of_its_subject_and_command(subject: str, command: str) -> None:
    assert event_id(subject, command) == str(uuid.uuid5(NAMESPACE, f"{subject} {command}"))


# -- the memory of ids ------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 300), st.sampled_from([16, 37, 64, 1000]))
def test_remembered_equals_a_dictionary_through_segments_and_restores(
    data: st.DataObject, count: int, segment: int
) -> None:
    """Every id leads to its own sequence, and what is not there is not found, however often it was stored and read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.remembered, "SEGMENT", segment)
        start = data.draw(st.integers(0, 10**6))
        restores = set(data.draw(st.lists(st.integers(1, 300), max_size=4)))
        remembered, truth = Remembered(), {}
        sequence = 0
        for number in range(1, count + 1):
            sequence += 1 + (number * 7 + start) % 3
            again = number // 3 if number % 5 == 0 else number  # some names come again, in another event
            keys = [name_key(f"{start}-{again}-{n}") for n in range(number % 4)]
            keys.append(key_of(event_id("ledger.kiosk.jar.a", f"{start}-{number}")))
            if len(keys) == 1:
                remembered.add(keys[0], sequence)
            else:
                remembered.add_all(keys, sequence)
            truth |= dict.fromkeys(keys, sequence)
            if number in restores:
                remembered = restored(remembered, truth)
        assert {key: remembered.get(key) for key in truth} == truth
        others = [
            key_of(event_id("ledger.kiosk.jar.a", f"{start}-{number}")) for number in range(count + 1, count + 50)
        ]
        assert not any(other in remembered for other in others)
        assert remembered.find([*truth, *others]) == truth


def restored(remembered: Remembered, truth: dict[int, int]) -> Remembered:
    """What comes back from a snapshot that was taken now, and written when more had come since."""
    kept, count = remembered.kept(), len(remembered)
    remembered.add_all(range(1, 50), 10**9)
    segments = [Segment.from_bytes(part.to_bytes()) for part in kept.segments]
    back = Remembered.restored(Kept(segments, kept.keys, kept.sequences))
    assert len(back) == count
    assert {key: back.get(key) for key in truth} == truth
    return back


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_of_two_events_with_one_key_the_later_is_found(keys: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.remembered, "SEGMENT", 4)
        remembered = Remembered()
        for sequence, key in enumerate(keys, 1):
            remembered.add(key, sequence)
        assert {key: remembered.get(key) for key in range(7)} == {
            key: max((at for at, k in enumerate(keys, 1) if k == key), default=None) for key in range(7)
        }


# -- problems ------------------------------------------------------------


@given(
    texts, st.dictionaries(st.sampled_from(["status", "code", "type", "title", "detail", "field", "left"]), json_values)
)
def test_a_problem_keeps_its_own_members(detail: str, facts: dict[str, Any]) -> None:
    """A fact may have any name; it never takes the place of what the document is about."""
    error = Invalid("x")
    error.detail, error.facts = detail, facts
    problem = as_problem(error)
    assert (problem["status"], problem["code"], problem["detail"]) == (422, "INVALID", detail)


def test_an_unforeseen_error_says_nothing_of_the_inside() -> None:
    problem = as_problem(RuntimeError("password=secret"))
    assert problem["code"] == "INTERNAL" and "secret" not in json.dumps(problem)
