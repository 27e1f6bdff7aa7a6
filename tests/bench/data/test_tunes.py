import random
import warnings
from fractions import Fraction
from multiprocessing import Pool
from pathlib import Path

import pytest

from bench.data import splits, tunes
from bench.data.shipped import corpus_bytes
from bench.data.splits import SPLITS
from bench.data.tunes import Bar, Note, Tune, families, grid, joined, phrases, read_tunes, shapes, split_tunes
from bench.errors import UsageError

QUARTER, EIGHTH = Fraction(1), Fraction(1, 2)
FOUR = Fraction(4)


@pytest.fixture(scope="module")
def music21_corpus():
    music21 = pytest.importorskip("music21", reason="music21 is not installed (the extra called music)")
    return Path(music21.__file__).parent / "corpus"


@pytest.fixture
def abc(tmp_path):
    pytest.importorskip("music21", reason="music21 is not installed (the extra called music)")

    def write(body, header="M:4/4\nL:1/4\nK:C"):
        path = tmp_path / "folder" / "tunes.abc"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"X:7\nT:one\n{header}\n{body}\n\nX:8\nT:two\n{header}\nCDEF|\n", encoding="utf-8")
        return read_tunes(path)[0]

    return write


def bar(*pitches, length=EIGHTH, nominal=FOUR):
    return Bar(nominal, tuple(Note(pitch, length) for pitch in pitches))


def scale(start, bars=4):
    """Eighth notes up and down a scale, eight a bar."""
    steps = (0, 2, 4, 5, 7, 5, 4, 2)
    return tuple(bar(*(start + step + index for step in steps)) for index in range(bars))


def random_tune(name, rng, bars=12):
    return Tune(name, tuple(bar(*(rng.randrange(55, 90) for _ in range(8))) for _ in range(bars)))


def transposed(tune, semitones, name):
    moved = tuple(
        Bar(bar.nominal, tuple(Note(note.pitch + semitones, note.duration) for note in bar.notes)) for bar in tune.bars
    )
    return Tune(name, moved)


def test_an_abc_file_is_read_as_it_is_written(abc):
    tune = abc('"G"c2 [ceg]{d}z|c/2d/2e- e2|')
    assert tune.name == "folder/tunes.abc#0:7"
    half = Fraction(1, 2)
    assert tune.bars == (
        Bar(FOUR, (Note(72, Fraction(2)), Note(79, QUARTER), Note(None, QUARTER))),
        Bar(FOUR, (Note(72, half), Note(74, half), Note(76, QUARTER), Note(76, Fraction(2), tied=True))),
    )
    assert joined(tune.bars)[-1] == Note(76, Fraction(3))


def test_reading_is_quiet_and_leaves_nothing_behind(abc, capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        abc("CDEF|c2c2|")
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "home").exists()


def test_a_file_that_is_not_music_is_reported(tmp_path):
    pytest.importorskip("music21", reason="music21 is not installed (the extra called music)")
    path = tmp_path / "tune.abc"
    path.write_bytes(b"X:1\n\xff\xfe")
    with pytest.raises(UsageError, match=r"music21 cannot read .*tune\.abc"):
        read_tunes(path)


def test_without_music21_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "music21", None)
    with pytest.raises(UsageError, match=r"pip install 'seqgan-bench\[music\]'"):
        read_tunes(Path("tunes.abc"))


def test_some_tunes_that_ship_are_made_anew(music21_corpus):
    found = read_tunes(music21_corpus / "oneills1850" / "0487-0500.abc")
    found += read_tunes(sorted((music21_corpus / "ryansMammoth").glob("*.abc"))[0])
    assert len(found) > 10
    for kind, corpus in ((grid, "folk-tunes"), (phrases, "folk-tunes-phrases")):
        shipped = {split: set(corpus_bytes(corpus, split).decode().splitlines()) for split in SPLITS}
        made = [(splits.split_of(tune.name), line) for tune in found for line in kind(tune)]
        assert len(made) > 20
        assert all(any(line in lines for lines in shipped.values()) for _, line in made)
        own = sum(line in shipped[split] for split, line in made)
        assert own > 0.8 * len(made)  # the rest belong to families with an earlier name


@pytest.mark.slow
def test_all_tunes_that_ship_are_made_anew_byte_for_byte(music21_corpus):
    files = sorted(file for name in ("oneills1850", "ryansMammoth") for file in (music21_corpus / name).glob("*.abc"))
    with Pool() as pool:
        found = [tune for part in pool.map(read_tunes, files, chunksize=20) for tune in part]
    made = split_tunes(found)
    for kind, corpus in (("grid", "folk-tunes"), ("phrases", "folk-tunes-phrases")):
        for split in SPLITS:
            assert splits.content(made[kind][split]) == corpus_bytes(corpus, split)


def test_the_grid_shows_what_sounds_at_each_step():
    (line,) = grid(Tune("scale", scale(60)))
    assert line.split()[:9] == ["40", "42", "44", "45", "47", "45", "44", "42", "41"]
    assert len(line.split()) == 32


def test_a_long_note_fills_its_steps_and_a_rest_is_zero():
    held = Bar(FOUR, (Note(60, QUARTER), Note(62, EIGHTH), Note(None, EIGHTH), Note(64, Fraction(2))))
    (line,) = grid(Tune("held", (*scale(60, 3), held)))
    assert line.split()[-8:] == ["40", "40", "42", "0", "44", "44", "44", "44"]


@pytest.mark.parametrize(
    ("bars", "lines"),
    [
        ((bar(60), *scale(60)), 1),  # the pick-up bar is left out
        (scale(60, 3), 0),  # too short
        (scale(60, 9), 2),  # what is left after the last window is left out
        (tuple(bar(60, 62, 64, 60, 62, 64, 60, 62) for _ in range(4)), 0),  # three pitches
        (tuple(bar(60, None, 64, 65, None, 64, 60, 62) for _ in range(4)), 0),  # eight rests
        (tuple(bar(*range(105, 113)) for _ in range(4)), 0),  # higher than a piano
        (tuple(bar(60, 62, 64, length=Fraction(1, 3)) for _ in range(20)), 0),  # triplets do not fit a grid
        ((), 0),
        ((bar(),), 0),
    ],
)
def test_what_the_grid_leaves_out(bars, lines):
    assert len(grid(Tune("tune", bars))) == lines


def test_a_step_is_the_commonest_note_and_a_dotted_one_gives_way_to_sixteenths():
    dotted = tuple(Bar(QUARTER, (Note(60 + index % 5, Fraction(3, 4)), Note(64, Fraction(1, 4)))) for index in range(8))
    (line,) = grid(Tune("dotted", dotted))
    assert line.split()[:5] == ["40", "40", "40", "44", "41"]
    tie = tuple(bar(60, 62, 64, 65) for _ in range(16))  # four eighths in 4/4: every bar is short
    assert len(grid(Tune("short", tie))) == 60 // 32


def test_a_phrase_can_be_played():
    tune = Tune("scale", scale(60))
    (line,) = phrases(tune)
    notes = [(int(pitch), Fraction(length) / 4) for pitch, length in (word.split(":") for word in line.split())]
    assert notes == [(note.pitch, note.duration) for note in joined(tune.bars)]


def test_rests_triplets_and_ties_in_phrases():
    third = Bar(
        FOUR, (*(Note(60 + step, Fraction(1, 3)) for step in range(3)), Note(None, QUARTER), Note(70, 2 * QUARTER))
    )
    tied = Bar(FOUR, (Note(70, QUARTER, tied=True), Note(71, QUARTER, tied=True), Note(72, 2 * QUARTER)))
    (line,) = phrases(Tune("tune", (third, tied, *scale(60, 2))))
    assert line.startswith("60:4/3 61:4/3 62:4/3 r:4 70:12 71:4 72:8 60:2")


@pytest.mark.parametrize(
    ("bars", "lines"),
    [
        (scale(60, 8), 2),
        ((bar(60), *scale(60)), 1),
        ((*scale(60, 3), bar(60), *scale(60, 3)), 0),  # a short bar breaks a phrase off
        (tuple(bar(60, 62, 64, 60, 62, 64, 60, 62) for _ in range(4)), 0),
        (tuple(Bar(FOUR, (Note(60 + index, FOUR),)) for index in range(4)), 0),  # four tokens
        (tuple(bar(*range(60, 76), length=Fraction(1, 4)) for _ in range(4)), 0),  # 64 tokens
        (tuple(bar(*range(105, 113)) for _ in range(4)), 0),
    ],
)
def test_what_phrases_leave_out(bars, lines):
    assert len(phrases(Tune("tune", bars))) == lines


def test_shapes_do_not_depend_on_the_key_nor_on_repeated_notes():
    tune = random_tune("one", random.Random(1))
    doubled = Tune("two", tuple(Bar(part.nominal, part.notes + part.notes[-1:]) for part in tune.bars))
    assert shapes(tune) == shapes(transposed(tune, -5, "low")) == shapes(doubled)
    assert len(shapes(tune)) > 50


def test_related_tunes_are_one_family():
    rng = random.Random(2)
    one, other = random_tune("one", rng), random_tune("other", rng)
    variant = Tune("variant", (*transposed(one, 3, "").bars[:6], *random_tune("", rng, 6).bars))
    assert families([one, other, transposed(one, 7, "high"), variant]) == [0, 1, 0, 0]


def test_families_are_those_of_a_plain_loop():
    rng = random.Random(3)
    found = [random_tune(f"tune {index}", rng) for index in range(6)]
    for index in range(30):
        parts = [rng.choice(found).bars for _ in range(3)]
        cut = [part[begin : begin + rng.randrange(2, 5)] for part in parts for begin in [rng.randrange(6)]]
        found.append(Tune(f"mixed {index}", sum(cut, ())))
    of_tune = [shapes(tune) for tune in found]
    expected = list(range(len(found)))
    for _ in found:
        for i, one in enumerate(of_tune):
            for j, other in enumerate(of_tune[:i]):
                shared = sum(sum(shape in them for them in of_tune) <= tunes.COMMONPLACE for shape in one & other)
                if shared >= 8 and shared >= 0.3 * min(len(one), len(other)):
                    expected[i] = expected[j] = min(expected[i], expected[j])
    assert families(found) == expected
    assert 1 < len(set(expected)) < 6  # some were joined by a third tune


def test_a_family_is_in_one_split():
    rng = random.Random(4)
    found = []
    for index in range(30):
        tune = random_tune(f"tune {index}", rng)
        found += [tune, transposed(tune, 2, f"kin {index}")]
    made = split_tunes(found)
    for kind in (grid, phrases):
        for tune in found:
            inside = {split for split in SPLITS if set(kind(tune)) & set(made[kind.__name__][split])}
            assert inside == {splits.split_of(tune.name.replace("kin", "tune"))}
        assert all(made[kind.__name__].values())
