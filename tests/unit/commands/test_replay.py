"""What `commons replay` is asked for: models, and how far."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.commands.door import Usage
from services.commands.replay import read_until
from services.projections.registry import PROJECTIONS

STOCK = PROJECTIONS["stock_on_hand"]
CHART = PROJECTIONS["chart"]
REACH = next(one for one in PROJECTIONS.values() if set(one.streams) == {"INVENTORY", "DISTRIBUTION"})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T09:30:00Z", datetime(2026, 11, 20, 9, 30, tzinfo=UTC)),
        (" 2026-11-20T10:30:00.5+01:00 ", datetime(2026, 11, 20, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_moment_is_one_instant_and_a_day_is_meant_up_to_its_end(text: str, moment: datetime) -> None:
    until = read_until([text], [STOCK, CHART])
    assert until is not None
    assert (until.moment, until.sequences) == (moment, None)


def test_a_sequence_is_of_the_only_stream_or_names_its_own() -> None:
    for given, models, found in [
        (["1742"], [STOCK], {None: 1742}),
        (["inventory:1742"], [STOCK], {"INVENTORY": 1742}),
        (["INVENTORY:17", "DISTRIBUTION:0"], [REACH], {"INVENTORY": 17, "DISTRIBUTION": 0}),
        (["INVENTORY:17", "TREASURY:4"], [STOCK, CHART], {"INVENTORY": 17, "TREASURY": 4}),
    ]:
        until = read_until(given, models)
        assert until is not None
        assert (until.moment, until.sequences) == (None, found)
    assert read_until([], [STOCK]) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["yesterday"], "takes a moment"),
        ([""], "takes a moment"),
        (["2026-11-20T09:30:00"], "neither"),  # of which zone?
        (["2026-13-01"], "2026-13-01"),
        (["2026-02-30T09:30:00Z"], "neither"),
        (["0"], "from 1"),
        (["9" * 20], "sequences run"),
        (["-5"], "takes a moment"),
        (["1.5"], "takes a moment"),
        (["٣"], "takes a moment"),
        (["INVENTORY:x"], "takes a moment"),
        (["TREASURY:5"], "none of what is replayed"),
        (["5", "6"], "twice"),
        (["INVENTORY:5", "inventory:6"], "twice"),
        (["INVENTORY:5", "7"], "not clear"),
        (["INVENTORY:5", "2026-11-20"], "not a sequence"),
        (["2026-11-20", "2026-11-21"], "one moment"),
        (["'; DROP SCHEMA read; --"], "takes a moment"),
    ],
)
def test_garbage_is_refused_with_what_would_do(given: list[str], said: str) -> None:
    with pytest.raises(Usage, match=said):
        read_until(given, [STOCK])


def test_a_bare_sequence_of_several_streams_is_refused() -> None:
    for models in ([REACH], [STOCK, CHART]):
        with pytest.raises(Usage, match="not clear"):
            read_until(["5"], models)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--all"),
        (["stock_on_hand", "--all"], "not both"),
        (["stock_on_hnd"], "Did you mean stock_on_hand?"),
        (["Stock_On_Hand"], "Did you mean stock_on_hand?"),
        (["stock_on_hand", "--list"], "stand alone"),
        (["--list", "--remove", "replay_stock_on_hand_1"], "stand alone"),
        (["--remove", "replay_stock_on_hand_1", "--drop"], "stand alone"),
    ],
)
def test_a_command_line_that_asks_for_nothing_clear_is_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["replay", *arguments])
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_server_that_is_away_is_exit_code_3() -> None:
    nobody = ["--nats-url", "nats://127.0.0.1:9", "--database-url", "postgresql://commons@127.0.0.1:9/commons"]
    for arguments in (["stock_on_hand"], ["--list"], ["--remove", "replay_stock_on_hand_1"]):
        done = CliRunner().invoke(app, ["replay", *arguments, *nobody])
        assert (done.exit_code, "does not answer" in done.stderr) == (3, True), done.stderr
