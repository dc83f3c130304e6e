"""Makes receipts out of the auditor's folder of logs: the entry, the proof of its place, and a checkpoint above."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.auditor.checkpoint import unverified
from services.auditor.layout import SERVICES, log_folder
from services.auditor.merkle import BadProof, leaf_hash, verify_inclusion
from services.auditor.notes import Note
from services.auditor.opened import bounded_reader
from services.auditor.receipt import Receipt
from services.auditor.tiles import CHECKPOINT, WIDTH, BadTile, Tiles, tile_path
from shared.errors import Corrupt
from shared.event import decode_envelope
from shared.store import stream_name

_WITNESS_BYTES: Final = 8 + 64
"""Bytes of a cosignature: the time in front of the signature."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands."""

    service: str
    sequence: int


def issue(logs: Path, place: Place, *, cosigned: int = 0) -> Receipt | None:
    """The receipt of an event; None as long as no checkpoint covers it, or it has fewer cosignatures than asked for.

    The event's bytes are in it (`extra`), so that the file alone is enough. Raises Corrupt when the tiles do not lead
    from the event to the checkpoint.
    """
    folder = log_folder(logs, place.service)
    read = bounded_reader(folder)
    note = read(CHECKPOINT)
    if note is None:
        return None
    checkpoint = unverified(note)
    signatures = [each for each in Note.parse(note).signatures if len(each.value) == _WITNESS_BYTES]
    if checkpoint.size < place.sequence or len(signatures) < cosigned:
        return None
    index, tiles = place.sequence - 1, Tiles(read, checkpoint.size)
    try:
        entry, proof = tiles.entry(index), tiles.inclusion_proof(index, checkpoint.size)
        verify_inclusion(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root)
    except (BadTile, BadProof) as error:
        if read(CHECKPOINT) != note:
            return None  # the log has grown meanwhile, and partial tiles went when the full ones came
        raise Corrupt(
            f"Event {place.sequence:,} of {stream_name(place.service)} in {folder} is not under its checkpoint: an "
            "entry or a tile is missing, or was changed. Run `commons verify` on the folder.",
            stream=stream_name(place.service), sequence=place.sequence,
        ) from error  # fmt: skip
    return Receipt(index, tuple(proof), note, entry)


def covered(logs: Path, service: str) -> int:
    """How many events of a service are under its newest checkpoint."""
    note = bounded_reader(log_folder(logs, service))(CHECKPOINT)
    return 0 if note is None else unverified(note).size


class Search:
    """Looks for an event by its id, the newest first; what was searched once is not searched again."""

    def __init__(self, logs: Path, id: str) -> None:
        self._logs = logs
        self._id = id
        self._searched = dict.fromkeys(SERVICES, 0)

    def find(self) -> Place | None:
        """Where the event stands, if it is under a checkpoint by now."""
        for service in SERVICES:
            size = covered(self._logs, service)
            for place in self._look(service, size):
                return place
            self._searched[service] = size
        return None

    def _look(self, service: str, size: int) -> Iterator[Place]:
        """Whole bundles are searched for the text, which is fast; what has it is then read."""
        read, wanted = bounded_reader(log_folder(self._logs, service)), self._id.encode()
        tiles = Tiles(read, size)
        for index in range(-(-size // WIDTH) - 1, self._searched[service] // WIDTH - 1, -1):
            width = min(WIDTH, size - index * WIDTH)
            raw = read(tile_path(None, index, width)) or read(tile_path(None, index)) or b""
            if wanted in raw:
                for at, entry in enumerate(tiles.bundle(index)):
                    if wanted in entry and decode_envelope(entry).id == self._id:
                        yield Place(service, index * WIDTH + at + 1)
