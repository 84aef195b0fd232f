"""The grammar of `--faults`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labelflow.sandbox.faults.sampler import FaultSampler
from labelflow.sandbox.settings.fault_kinds import FaultTarget
from labelflow.sandbox.settings.fault_spec import KINDS_BY_NAME, help_text, parse

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_fault_spec_is_parsed() -> None:
    spec = parse(" slow=5%:0.25s,seed = 7 , reset=.5%,lag=3s,429-wait=100% ".replace("100%", "10%"))
    assert spec.seed == 7
    assert [(setting.kind.name, setting.rate, setting.seconds) for setting in spec.settings] == [
        ("slow", 0.05, 0.25),
        ("reset", 0.005, 0),
        ("lag", 0, 3),
        ("429-wait", 0.1, 2),
    ]
    assert [setting.kind.name for setting in spec.for_target(FaultTarget.LISTING)] == ["lag"]


@pytest.mark.parametrize("name", KINDS_BY_NAME)
def test_each_fault_works_as_its_example_and_is_documented(name: str) -> None:
    (setting,) = parse(KINDS_BY_NAME[name].example).settings
    assert setting.kind is KINDS_BY_NAME[name]
    assert KINDS_BY_NAME[name].description in help_text()
    assert f"| `{KINDS_BY_NAME[name].example}` | {KINDS_BY_NAME[name].description} |" in DOCS.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no fault; use a list like 'seed=7, reset=2%, slow=5%:0.5s, lag=3s'"),
        ("seed=7", "there is no fault"),
        ("reset=2%,,slow=5%", "'': the name of the fault is missing"),
        ("rest=2%", "'rest=2%': unknown fault 'rest'; did you mean reset? the faults are reset, dropped, "),
        ("reset", "'reset': write it like reset=1%"),
        ("reset=2", "'reset=2': write it like reset=1%"),
        ("slow=5%:fast", "'slow=5%:fast': write it like slow=1%:0.5s"),
        ("slow=5%:2", "'slow=5%:2': write it like slow=1%:0.5s"),
        ("slow=5%:99999s", "'slow=5%:99999s': the maximum is 86400s"),
        ("reset=-2%", "'reset=-2%': write it like reset=1%"),
        ("reset=nan%", "'reset=nan%': write it like reset=1%"),
        ("reset=101%", "'reset=101%': the maximum is 100%"),
        ("reset=2%:1s", "'reset=2%:1s': reset has no time; write reset=2%"),
        ("reset=2%, reset=3%", "'reset=3%': reset is given twice; give it once"),
        ("lag=3%", "'lag=3%': lag has a time and no rate; write it like lag=3s"),
        ("seed=x, reset=2%", "'seed=x': the seed must be a whole number, like seed=7"),
        ("reset=60%, 429=50%", "reset, 429: the rates for requests add up to 110%; the maximum is 100%"),
    ],
)
def test_invalid_spec_gives_the_error_and_the_correct_form(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        parse(text)
    assert str(error.value).startswith(message)


def test_rates_of_different_targets_do_not_add_up() -> None:
    assert len(parse("reset=100%, error=100%, order=100%").settings) == 3


def test_invalid_spec_ends_the_command_with_status_2_and_one_message() -> None:
    command = [sys.executable, "-m", "labelflow.sandbox", "--faults", "rset=2%"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    *_, last = outcome.stderr.splitlines()
    assert "argument --faults: 'rset=2%': unknown fault 'rset'; did you mean reset?" in last


def test_sampled_faults_match_their_rates_and_are_reproducible_by_seed() -> None:
    spec = parse("seed=5, reset=2%, 429=10%")
    first, second = FaultSampler(spec, FaultTarget.REQUEST), FaultSampler(spec, FaultTarget.REQUEST)
    samples = [first.sample() for _ in range(20_000)]
    assert samples == [second.sample() for _ in range(20_000)]
    names = [setting.kind.name for setting in samples if setting]
    assert 300 <= names.count("reset") <= 500
    assert 1_800 <= names.count("429") <= 2_200
    by_content = [first.sample_for(str(number).encode()) for number in range(20_000)]
    assert by_content == [second.sample_for(str(number).encode()) for number in range(20_000)]
    assert 2_100 <= sum(setting is not None for setting in by_content) <= 2_700
