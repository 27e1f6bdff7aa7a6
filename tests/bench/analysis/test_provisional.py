"""What counts while runs go on."""

from dataclasses import replace

import pytest

from bench.analysis.provisional import so_far
from bench.records.frames import Frames


@pytest.fixture
def frames(results):
    """Made-up results, of ``quatrains`` those of the models with all five seeds."""
    own = results.runs[results.runs["task"] == "quatrains"]
    fewer = own.groupby("model")["seed"].nunique().loc[lambda counted: counted < 5].index
    runs = results.runs[(results.runs["task"] != "quatrains") | ~results.runs["model"].isin(fewer)]
    return Frames(runs, results.scores, results.frontier, results.curves, 0)


def unfinished(frames, status, **where):
    """The same, where these runs have another status."""
    runs = frames.runs.copy()
    chosen = runs["task"] == "quatrains"
    for name, value in where.items():
        chosen &= runs[name] == value
    runs.loc[chosen, "status"] = status
    return replace(frames, runs=runs)


def seeds(frames, task):
    return sorted(set(frames.runs.loc[frames.runs["task"] == task, "seed"]))


@pytest.mark.parametrize("status", ["started", "interrupted", "missing"])
def test_only_seeds_that_have_ended_for_every_model_count(frames, status):
    ended = unfinished(frames, "ok", seed=3)
    kept, found = so_far(unfinished(ended, status, model="mle", seed=3))
    assert seeds(kept, "quatrains") == [0, 1, 2, 4]
    assert set(kept.scores.loc[kept.scores["task"] == "quatrains", "seed"]) == {0, 1, 2, 4}
    own = found["quatrains, quick"]
    assert (own.complete, own.seeds, own.runs - own.ended) == (4, 5, 1)
    assert "4 of 5 seeds have ended for every model; only such seeds" in own.words()


def test_without_a_complete_seed_all_that_has_ended_is_kept(frames):
    kept, found = so_far(unfinished(frames, "started", model="mle"))
    rest = kept.runs[kept.runs["task"] == "quatrains"]
    assert set(rest["model"]) == set(frames.runs.loc[frames.runs["task"] == "quatrains", "model"]) - {"mle"}
    assert found["quatrains, quick"].complete == 0
    assert "nothing can be compared yet" in found["quatrains, quick"].words()


def test_what_is_over_stays_as_it_is(frames):
    over = replace(frames, runs=frames.runs.assign(status="ok"))
    kept, found = so_far(over)
    assert kept is over
    assert found == {}
