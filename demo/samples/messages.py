"""Customer messages to a shop, each clearly of one category; the Parquet manifest contains them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from demo.samples.manifest import BadRow, DataSet, with_bad_rows
from demo.samples.phrases import CLOSINGS, OPENINGS, PHRASES

CHANNELS = ("email", "chat", "web form", "sms")
CATEGORIES = tuple(PHRASES)
FIRST = datetime(2025, 5, 5, 7, 40, tzinfo=UTC)

EMPTY = BadRow(27, "message-000220", "the text is empty")
WHITE_SPACE = BadRow(81, "message-000221", "the text is white space only")
NULL_TEXT = BadRow(140, "message-000222", "the text is null")
TWICE = BadRow(196, "message-000012", "duplicate message_id, with another text")

DATA_SET = DataSet(
    rows=sum(2 * len(phrases) for phrases in PHRASES.values()) + 4,
    bad_rows=(EMPTY, WHITE_SPACE, NULL_TEXT, TWICE),
)
SCHEMA = pa.schema(
    [
        ("message_id", pa.string()),
        ("channel", pa.dictionary(pa.int8(), pa.string())),
        ("received_at", pa.timestamp("ms", tz="UTC")),
        ("text", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Message:
    """A customer's text and its category, one of `CATEGORIES` (which is not in the manifest)."""

    message_id: str | None
    channel: str
    received_at: datetime
    text: str | None
    category: str


def good_messages() -> list[Message]:
    """All messages that can be labeled, in order of arrival."""
    random = Random("messages")
    texts = list(_texts(random))
    random.shuffle(texts)
    messages, received_at = [], FIRST
    for number, (category, text) in enumerate(texts):
        received_at += timedelta(seconds=random.randint(40, 9000), milliseconds=random.randint(0, 999))
        messages.append(Message(f"message-{number:06}", random.choice(CHANNELS), received_at, text, category))
    return messages


def write_manifest(path: Path) -> None:
    """Write the Parquet manifest: `message_id`, `channel`, `received_at` (UTC, milliseconds), `text`."""
    good = good_messages()
    texts = {
        EMPTY: "",
        WHITE_SPACE: " \n\t ",
        NULL_TEXT: None,
        TWICE: "As I wrote: any news about my parcel?",
    }
    bad = [(row, replace(good[row.index], message_id=row.row_id, text=text)) for row, text in texts.items()]
    rows = with_bad_rows(good, bad)
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    pq.write_table(pa.table(columns, schema=SCHEMA), path)


def _texts(random: Random) -> Iterator[tuple[str, str]]:
    for category, phrases in PHRASES.items():
        for phrase in phrases:
            for wording in (0, 1):
                yield category, _with_noise(_fill_in(phrase, wording), random)


def _fill_in(phrase: str, wording: int) -> str:
    """The phrase with wording 0 or 1 of each `{a|b}`."""
    return re.sub(r"\{([^|}]*)\|([^|}]*)\}", lambda pair: pair[1 + wording], phrase)


def _with_noise(text: str, random: Random) -> str:
    """The text with or without a greeting and a closing."""
    if random.random() < 0.4:
        text = random.choice(OPENINGS) + text
    elif random.random() < 0.8:
        text = text[0].upper() + text[1:]
    if random.random() < 0.35:
        text += _fill_in(random.choice(CLOSINGS), random.randint(0, 1))
    return text
