"""A few seconds of what `make fuzz` does for half an hour, and the proof that it would notice."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz.__main__ import main, read_inputs
from tests.fuzz.campaign import Campaign
from tests.fuzz.conversations import Outcome
from tests.fuzz.plays import Case, Play, unchanged
from tests.fuzz.recordings import Recording, load
from tests.fuzz.verdict import judge
from tests.fuzz.virtual_link import StuckError, VirtualLoop
from tests.support import h2_frames

RECORDINGS = load()
SEED = "ci" if os.environ.get("CI") else secrets.token_hex(4)


@pytest.fixture
def campaign() -> Campaign:
    return Campaign(SEED, recordings=RECORDINGS)


def faults_of(campaign: Campaign, case: Case, stage: str = "virtual") -> list[str]:
    with campaign.runners() as judges:
        return list(judges[stage](case).faults)


def test_a_few_seconds_of_fuzzing(campaign: Campaign) -> None:
    """Issue 3: no uncaught exception, nothing beyond its deadline, nothing left behind."""
    findings = campaign.run_once({"virtual": 2_000, "loopback": 10})
    assert not findings.faults, f"python -m tests.fuzz --seed {SEED} ...\n" + "\n".join(findings.faults)
    # What is played reaches all of the client: calls end well, by their status, by a reset, by time and by loss.
    assert {0, 4, 9, 13, 14} <= set(findings.codes)


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)
@pytest.mark.parametrize("stage", ["virtual", "loopback"])
def test_recorded_answers_are_understood(campaign: Campaign, recording: Recording, stage: str) -> None:
    """What is mutated is good."""
    assert faults_of(campaign, unchanged(recording, timeout_s=2.0), stage) == []


def test_the_same_seed_draws_the_same_cases() -> None:
    drawn = [Campaign("seed", recordings=RECORDINGS).draw("virtual", 7) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_inputs_of_a_folder_are_played(tmp_path: Path) -> None:
    """B15: whatever files hold what a server might say."""
    (tmp_path / "one").write_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    (tmp_path / "two").write_bytes(h2_frames.settings() + h2_frames.goaway(0))
    campaign = Campaign(SEED, read_inputs(tmp_path), RECORDINGS)
    assert campaign.replay_inputs() >= 2 * 2 * 4
    assert campaign.findings.faults == []


def test_one_case_is_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "seed", "--case", "virtual:7"]) == 0
    assert "Verdict(faults=()" in capsys.readouterr().out


# What the fuzzer has found


def test_an_attempt_that_fails_beside_a_lost_connection_leaves_one_timer(campaign: Campaign) -> None:
    """The third short life sets off backoff while an attempt to grow is under way, which then fails too."""
    settings = h2_frames.settings({h2_frames.Setting.MAX_CONCURRENT_STREAMS: 1})
    play = Play(slices=(settings, b"no frame" * 4), pause_s=0.0005)
    streams = next(each for each in RECORDINGS if each.conversation == "streams")
    assert faults_of(campaign, Case(recording=streams, plays=(play,) * 3, timeout_s=0.03)) == []


# What the fuzzer must not miss


def test_a_wrong_answer_is_a_fault(campaign: Campaign) -> None:
    recording = RECORDINGS[0]
    wrong = replace(recording, outcomes=(Outcome(code=0, messages=("wrong",)), *recording.outcomes[1:]))
    assert "not understood" in faults_of(campaign, unchanged(wrong, timeout_s=2.0))[0]


def test_a_call_that_outlives_its_deadline_is_a_fault() -> None:
    case = Case(recording=RECORDINGS[0], plays=(Play(slices=(h2_frames.settings(),)),), timeout_s=0.5)
    loop = VirtualLoop()
    loop.start(case.plays)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        verdict = runner.run(judge(case, allowed_overrun_s=-0.1))
    assert "outlived its deadline" in verdict.faults[0]
    assert verdict.codes == (4,) * len(case.recording.plans)


def test_an_exception_in_a_callback_is_a_fault() -> None:
    loop = VirtualLoop()
    loop.call_later(0.0005, lambda: [][0])
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        verdict = runner.run(judge(Case(recording=RECORDINGS[0], plays=(), timeout_s=0.5)))
    assert "reached the loop" in verdict.faults[0]


def test_a_wait_for_nothing_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(wait())
