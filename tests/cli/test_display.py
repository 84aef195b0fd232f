"""The progress display of a run."""

from __future__ import annotations

import pytest

from labelflow.accounting.progress import RunProgress
from labelflow.cli import display
from labelflow.cli.display import RateEstimator
from labelflow.cli.exit_status import exit_with
from labelflow.operations.cancel import Cancellation
from labelflow.operations.collect import CollectionResult
from labelflow.problems import Problem
from labelflow.records import ManifestRow, RejectedRow


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The current time: its only entry."""
    time = [100.0]
    monkeypatch.setattr("labelflow.cli.display.time.monotonic", lambda: time[0])
    return time


def test_a_rate_counts_from_the_start_of_growth_to_its_end(now: list[float]) -> None:
    rates = RateEstimator()
    assert rates.rate("n", 5) == 0
    now[0] = 150.0  # Prefect is starting
    assert rates.rate("n", 5) == 0
    now[0] = 152.0
    assert rates.rate("n", 25) == 10
    now[0] = 154.0
    assert rates.rate("n", 65) == 15
    now[0] = 999.0  # finished
    assert rates.rate("n", 65) == 15


def test_time_left_is_shown_once_it_can_be_estimated(now: list[float]) -> None:
    rates = RateEstimator()
    assert rates.remaining("n", 0, 100) == ""
    now[0] = 110.0
    assert rates.remaining("n", 10, 100) == ", 1m 30s left"
    assert rates.remaining("n", 10, 40_000) == ", 11h 06m left"
    assert rates.remaining("n", 10, 0) == ""
    now[0] = 120.0
    assert rates.remaining("n", 100, 100) == ""


def test_progress_bars_show_checked_submitted_and_labeled_rows(now: list[float]) -> None:
    counts, rates = RunProgress(), RateEstimator()
    display._bars(counts, rates)
    now[0] = 101.0
    counts.add(read=10, checked=8, submitted=6, created=4, rejected=1, finished=3, labeled=2)
    assert [words for _, _, words in display._bars(counts, rates)] == [
        "8 of 10 rows read",
        "6 rows, 4 of them new at 4/s, 1 rejected",
        "2 of 6 tasks",
    ]
    counts.add(total=10)
    assert [(done, total) for done, total, _ in display._bars(counts, rates)] == [(8, 10), (7, 10), (3, 6)]


def test_run_with_nothing_to_do_shows_no_rate(now: list[float]) -> None:
    counts, rates = RunProgress(), RateEstimator()
    counts.add(finished=3, labeled=3)  # earlier runs have labeled them, and the manifest is not read yet
    assert display._bars(counts, rates)[2][2] == "3 of 3 tasks"
    now[0] = 101.0
    counts.add(read=300, checked=300, submitted=300, total=300)
    assert display._bars(counts, rates)[1][2] == "300 rows, 0 of them new, 0 rejected"


ESCAPES = "\x1b]52;c;Y3VybCBldmlsfHNo\x07 \x1b[2J \x9b31m \r\n [red]x[/red]"


def assert_harmless(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in text), ascii(text)
    assert "\\x1b]52;c;" in text
    assert "[red]x[/red]" in text


def test_escape_sequences_of_row_ids_and_api_errors_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rejected = RejectedRow(ManifestRow(1, {}), ESCAPES, Problem("text", ESCAPES, "correct it"))
    display.print_rows("rejected", [rejected], 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert_harmless(lines[0])
    display.print_cancellation(Cancellation(0, 0, too_late=[ESCAPES], not_found=[ESCAPES], without_task=[ESCAPES]))
    assert_harmless(capsys.readouterr().out)
    counts = RunProgress()
    counts.outage = f"no answer: {ESCAPES}"
    assert_harmless(display._bars(counts, RateEstimator())[2][2])
    with pytest.raises(SystemExit):
        exit_with(f"Scale API: {ESCAPES}", 1)
    assert_harmless(capsys.readouterr().err)


def test_output_folder_with_brackets_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    result = CollectionResult("job", "/[red]x[/]", 0, 0, 0, None, None)
    display.print_collection_results([result])
    assert "/[red]x[/]" in "".join(capsys.readouterr().out.split())
