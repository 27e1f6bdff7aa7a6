"""Both arms compared with plain loops; what helps on a source that is known, and what hurts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.kernels.ngram_model import reference_token_log_prob
from bench.metrics.augmented import MIN_COUNT, REAL, Augmented, real_rows
from bench.metrics.base import ADD, STRENGTHS, RealText, Subject
from bench.metrics.sequences import Tokens
from bench.metrics.text import tokenizers
from bench.metrics.text.intervals import resampled
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score

COLUMNS = ["augmented_nll", "augmented_perplexity", "augmented_gain", "augmented_gain_all"]


def chain(seed, rows, length=10, size=12, source=0):
    """Sequences of a Markov chain with a few likely successors of each word; int64, (rows, length)."""
    law = np.random.default_rng(source).dirichlet(np.full(size, 0.2), size).cumsum(axis=1)
    rng = np.random.default_rng(seed + 1_000)
    words = [rng.integers(0, size, rows)]
    for _ in range(length - 1):
        drawn = (law[words[-1]] < rng.random((rows, 1))).sum(axis=1)
        words.append(np.minimum(drawn, size - 1))
    return np.stack(words, axis=1)


@pytest.fixture
def columns(make_evidence):
    """The columns of samples, by name."""

    def ask(samples, test, train, **about):
        about = {"kind": "words", "vocab_size": 12, "tokenizer": "word", **about}
        return {each.metric: each for each in make_evidence(samples, test, train=train, **about).ask(Augmented())}

    return ask


def values(found):
    return {metric: each.value for metric, each in found.items()}


def plain(real, samples, test, size):
    """NLL of lists of words under the model of two of them, by loops over dictionaries: alone, and together.

    Alone, the counts are those of one reading, or so many times as large that there are as many tokens as together, or
    between these: whichever is best.
    """

    def nll(text, weight=1.0):
        strengths = [strength / weight for strength in STRENGTHS]
        return -np.mean(np.concatenate(reference_token_log_prob(text, test, size, ADD / weight, strengths)))

    weight = (sum(map(len, real)) + sum(map(len, samples))) / sum(map(len, real))
    return min(nll(real, weight ** (step / 4)) for step in range(5)), nll([*real, *samples])


def test_both_arms_are_the_plain_loops(columns):
    samples, test, train = chain(0, 30), chain(1, 40), chain(2, 50)
    found = columns(samples, test, train)
    assert list(found) == COLUMNS
    drawn = [train[row].tolist() for row in np.random.RandomState(0).permutation(50)[:25]]
    alone, together = plain(drawn, samples.tolist(), test.tolist(), 12)
    assert found["augmented_nll"].value == pytest.approx(together, rel=1e-12)
    assert found["augmented_perplexity"].value == pytest.approx(math.exp(together), rel=1e-12)
    assert found["augmented_gain"].value == pytest.approx(alone - together, rel=1e-9)
    alone, together = plain(train.tolist(), samples.tolist(), test.tolist(), 12)
    assert found["augmented_gain_all"].value == pytest.approx(alone - together, rel=1e-9)


def test_end_marks_count_and_what_follows_them_does_not(columns):
    samples, test, train = [[2, 3, 1, 0], [3, 2, 2, 1]], [[2, 3, 2, 1]], [[3, 1, 0, 0], [2, 2, 3, 1]]
    found = columns(samples, test, train, eos=1, pad=0)
    ended = [[2, 3, 1], [3, 2, 2, 1]], [[2, 3, 2, 1]], [[3, 1], [2, 2, 3, 1]]
    first = ended[2][int(np.random.RandomState(0).permutation(2)[0])]
    assert found["augmented_nll"].value == pytest.approx(plain([first], ended[0], ended[1], 12)[1], rel=1e-12)


@pytest.mark.parametrize("files", [False, True])
def test_without_samples_the_gain_is_exactly_zero(files, columns):
    test, train = chain(1, 40), chain(2, 50)
    if files:
        whole = [Tokens(rows + 1, np.full(len(rows), 10)) for rows in (test, train)]
        subject = Subject.samples(whole[0][:0], RealText(*whole), "space", intervals=True)
        found = {each.metric: each for each in Augmented().estimates(subject)}
        assert found["augmented_gain"].contributions.shape == (0,)
    else:
        found = columns(chain(0, 1)[:0], test, train)
    assert (found["augmented_gain"].value, found["augmented_gain_all"].value) == (0.0, 0.0)


def test_true_samples_help_the_more_the_more_there_are_and_noise_hurts(columns):
    test, train = chain(1, 300), chain(2, 60)
    gains = [values(columns(chain(3, n), test, train)) for n in (30, 100, 300, 1_000)]
    for column in ("augmented_gain", "augmented_gain_all"):
        assert gains[0][column] > 0
        assert gains[-1][column] > 0.03
        assert sorted(found[column] for found in gains) == [found[column] for found in gains]
    rng = np.random.default_rng(0)
    noise = [values(columns(rng.integers(0, 12, (n, 10)), test, train)) for n in (30, 300, 3_000)]
    strange = [values(columns(chain(3, n, source=1), test, train)) for n in (30, 300, 3_000)]
    for found in (noise, strange):
        for column in ("augmented_gain", "augmented_gain_all"):
            assert found[0][column] < 0
            assert sorted((each[column] for each in found), reverse=True) == [each[column] for each in found]


def test_a_mixture_is_between_truth_and_noise(columns):
    test, train = chain(1, 300), chain(2, 60)
    truth, noise = chain(3, 400), np.random.default_rng(0).integers(0, 12, (400, 10))
    parts = [np.concatenate([truth[: 400 - n], noise[:n]]) for n in (0, 100, 200, 300, 400)]
    gains = [values(columns(samples, test, train))["augmented_gain"] for samples in parts]
    assert sorted(gains, reverse=True) == gains


def test_handing_back_the_training_set_is_seen_in_the_gain_over_all_of_it(columns):
    """The gaming of the first gain: what the k lack comes back. Over the whole set copies bring weight, and no gain."""
    test, train = chain(1, 300), chain(2, 200)
    copier, honest = columns(train, test, train), columns(chain(3, 200), test, train)
    assert copier["augmented_gain"].value > 0.004
    assert copier["augmented_gain_all"].value == pytest.approx(0, abs=1e-9)  # all of it, as heavily as it can be
    some = columns(np.concatenate([train[:100]] * 4), test, train)
    assert some["augmented_gain_all"].value < -0.005
    assert honest["augmented_gain_all"].value > 0.003
    assert honest["augmented_gain"].value > copier["augmented_gain"].value


def test_one_sentence_for_ever_hurts(columns):
    test, train = chain(1, 300), chain(2, 200)
    repeated = values(columns(np.tile(train[:1], (500, 1)), test, train))
    assert repeated["augmented_gain"] < -0.05
    assert repeated["augmented_gain_all"] < 0


def test_the_row_of_real_data_adds_other_training_sequences(columns):
    test, train = chain(1, 40), chain(2, 60)
    samples = train[:20]
    found = columns(samples, test, train, trained=True)
    order = real_rows(60)
    drawn, others = ([train[row].tolist() for row in rows] for rows in (order[:30], order[30:50]))
    alone, together = plain(drawn, others, test.tolist(), 12)
    assert found["augmented_gain"].value == pytest.approx(alone - together, rel=1e-9)
    assert found["augmented_gain"].signature == columns(chain(0, 20), test, train)["augmented_gain"].signature
    # Over the whole training set there are no others: there it is what copies bring.
    assert found["augmented_gain_all"].value == columns(samples, test, train)["augmented_gain_all"].value
    fewer = columns(train[:50], test, train, trained=True)  # there are only 30 others
    assert [fewer[name].signature.n for name in ("augmented_gain", "augmented_gain_all")] == [30, 50]


def test_samples_of_a_lower_temperature_help_less():
    """The same words of a known unigram law, sharpened, in a file."""
    rng = np.random.default_rng(0)
    law = 1 / np.arange(1, 41)
    draw = lambda n, power: [" ".join(map(str, row)) for row in rng.choice(40, (n, 8), p=law**power / sum(law**power))]  # noqa: E731
    real, test = Text("train", tuple(draw(200, 1))), Text("test", tuple(draw(400, 1)))
    found = []
    for power in (1, 2, 4):
        rows = score([Text("made", tuple(draw(400, power)))], test, real, "space", ["augmented"]).rows
        found.append({each.metric: each.value for each in rows[0].scores}["augmented_gain"])
    assert found[0] > found[1] > found[2]
    assert found[2] < 0


def test_at_most_so_many_real_sequences_and_signatures_say_how_many(columns):
    found = columns(chain(0, 5), chain(1, 6), chain(2, 2_500))
    rest = "test=6|alone=best of 5 weights|V=12|lm=trigram,dirichlet(0.5,300,300)|tok=word|v=1"
    assert str(found["augmented_gain"].signature) == f"n=5|k=train:{REAL}/2500|{rest}"
    assert str(found["augmented_gain_all"].signature) == f"n=5|k=train:2500/2500|{rest}"
    assert [each.unit for each in found.values()] == ["nats/token", "", "nats/token", "nats/token"]
    assert [each.direction for each in found.values()] == ["lower", "lower", "higher", "higher"]


def test_nothing_for_what_is_no_text(columns):
    for kind in ("synthetic", "pitches", "notes"):
        assert columns(chain(0, 5), chain(1, 6), chain(2, 20), kind=kind) == {}
    assert list(columns(chain(0, 5), chain(1, 6), chain(2, 20), kind="characters")) == COLUMNS


@pytest.mark.parametrize(("train", "reason"), [(None, "only with the training text"), ([[2, 3]], "a single sequence")])
def test_absent_without_a_training_text(train, reason, columns):
    found = columns([[2, 3]], [[3, 2]], train)
    assert {each.value for each in found.values()} == {None}
    assert all(reason in each.absent for each in found.values())


# Files


def closed(lines, train):
    """Lists of ids as the page says: rare words of the training text are <unk>, 0, and an end mark, 1, ends each."""
    words = [word for line in train for word in line.split()]
    known = {word for word in words if words.count(word) >= MIN_COUNT} - {"<unk>"}
    ids = {word: number for number, word in enumerate(sorted(known), 2)}
    return [[*(ids.get(word, 0) for word in line.split()), 1] for line in lines], len(ids) + 2


@pytest.fixture(scope="module")
def lines():
    """Samples with an empty line, words of no training text and <unk>; references; training text."""
    rng = np.random.default_rng(0)
    parts = [[" ".join(f"w{min(word, 60)}" for word in rng.geometric(0.1, rng.integers(1, 9))) for _ in range(n)]
             for n in (40, 50, 60)]  # fmt: skip
    parts[0][3], parts[0][4], parts[0][5] = "", "strange words w1", "<unk> w2 <unk>"
    return parts


def test_files_have_the_words_of_the_training_text(lines):
    made, test, train = (Text(name, tuple(rows)) for name, rows in zip(("made", "test", "train"), lines, strict=True))
    row = score([made], test, train, "space", ["augmented"]).rows[0]
    found = {each.metric: each for each in row.scores}
    (ours, size), (theirs, _), (real, _) = (closed(rows, lines[2]) for rows in lines)
    drawn = [real[place] for place in real_rows(60)[:30]]
    alone, together = plain(drawn, ours, theirs, size)
    assert found["augmented_nll"].value == pytest.approx(together, rel=1e-12)
    assert found["augmented_gain"].value == pytest.approx(alone - together, rel=1e-9)
    alone, together = plain(real, ours, theirs, size)
    assert found["augmented_gain_all"].value == pytest.approx(alone - together, rel=1e-9)
    model = "lm=trigram,dirichlet(0.5,300,300)|tok=space|v=1"
    about = f"n=40|k=train:30/60|test=50|alone=best of 5 weights|V={size}|vocab=train,min_count=3"
    assert str(found["augmented_nll"].signature) == f"{about}|{model}"


def test_a_file_cannot_buy_rare_words(lines):
    """New words are all <unk>: one new word written often is worth as much as many, and what it is does not matter."""
    _, test, train = (Text("", tuple(rows)) for rows in lines)
    made = [Text("made", tuple(f"w1 new{number % kinds} w2" for number in range(40))) for kinds in (1, 40)]
    one, many = ({each.metric: each.value for each in score([text], test, train, "space", ["augmented"]).rows[0].scores}
                 for text in made)  # fmt: skip
    assert one == many


def test_other_files_do_not_change_a_files_score(lines):
    made, test, train = (Text(name, tuple(rows)) for name, rows in zip(("made", "test", "train"), lines, strict=True))
    alone = score([made], test, train, "space", ["augmented"]).rows[0]
    beside = score([Text("first", ("other words here",) * 40), made], test, train, "space", ["augmented"]).rows[1]
    assert [each.value for each in alone.scores] == [each.value for each in beside.scores]


def test_intervals_cover_repeated_draws():
    """Draws from one source against fixed real text: intervals are a little too narrow, as the docstring says."""
    n, draws = 100, 200
    rows = chain(0, 500 + n * draws, length=6, size=300)
    parts = np.split(rows, [100, 500, *range(500 + n, len(rows), n)])
    encoded = tokenizers.encode([("", [list(map(str, row)) for row in part.tolist()]) for part in parts])
    real = RealText(encoded[0], encoded[1])
    rows = [
        resampled(list(Augmented().estimates(Subject.samples(made, real, "space", intervals=True))))[0]
        for made in encoded[2:]
    ]
    value, low, high = (np.array([[getattr(each, end) for each in row] for row in rows]) for end in
                        ("value", "low", "high"))  # fmt: skip
    covered = ((low <= value.mean(axis=0)) & (value.mean(axis=0) <= high)).mean(axis=0)
    wide = (high - low).mean(axis=0) / (2 * 1.96 * value.std(axis=0))
    assert (covered > 0.88).all()
    assert ((wide > 0.85) & (wide < 1.25)).all()
    assert (low[:, 1:] < 0).any()  # a gain may be negative, and its interval with it
