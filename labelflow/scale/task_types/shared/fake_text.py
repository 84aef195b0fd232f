"""Random text for the sandbox's responses."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

_WORDS = (
    "about after again all and any because been before but call can come could day did do down each every "
    "first for from give go good had have he her here him how if in into is it just know last left like line "
    "little long look made make many may more most much my name never new no not now number of off on one "
    "only open or order our out over people place right same say see she so some such take than that the "
    "their them then there these they thing think this time to two under up very was way we well went were "
    "what when where which while who will with word work would year you your"
).split()


def fake_words(count: int, preferred: Sequence[str], rng: random.Random) -> list[str]:
    """Return random English words; about a tenth of them are preferred ones."""
    return [rng.choice(preferred) if preferred and rng.random() < 0.1 else rng.choice(_WORDS) for _ in range(count)]


def fake_fields(fields: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    """Return random text for each key."""
    return {key: " ".join(fake_words(rng.randint(1, 4), [], rng)) for key in fields}
