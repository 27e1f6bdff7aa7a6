from __future__ import annotations

import builtins
import io
import random
import re
from fractions import Fraction

import pytest

from bench.data.notation import MISSING, TICKS, TUNES, Note, abc, abc_notes, line, midi, prose, read_note, reading, tune
from bench.errors import UsageError

DURATIONS = ("1", "2", "3", "4", "6", "4/3", "2/3", "1/2", "3/2", "7/2", "1/6", "14/3")


def phrase(seed, n=40):
    stream = random.Random(seed)
    return [f"{stream.choice([*range(48, 90), 'r', 'r'])}:{stream.choice(DURATIONS)}" for _ in range(n)]


def steps(seed, n=32):
    stream = random.Random(seed)
    return [str(stream.choice([0, 39, 40, 40, 41, 52, 64])) for _ in range(n)]


def heard(notes):
    """Onset, pitch and duration of all that sounds, in sixteenths."""
    now, found = Fraction(0), []
    for pitch, sixteenths in notes:
        if pitch is not None:
            found.append((now, pitch, sixteenths))
        now += sixteenths
    return found


def parse(book):
    """What music21 hears in an ABC text: the same as :func:`heard`, a list per tune."""
    converter = pytest.importorskip("music21.converter")
    parsed = converter.parse(book, format="abc")
    tunes = parsed.scores if hasattr(parsed, "scores") else [parsed]
    return [
        [
            (
                Fraction(note.getOffsetInHierarchy(score)).limit_denominator(100) * 4,
                note.pitch.midi,
                Fraction(note.quarterLength).limit_denominator(100) * 4,
            )
            for note in score.flatten().notes
        ]
        for score in tunes
    ]


@pytest.mark.parametrize(
    ("word", "kind", "note"),
    [
        ("73:2", "notes", (73, 2)),
        ("69:4/3", "notes", (69, Fraction(4, 3))),
        ("r:4", "notes", (None, 4)),
        ("40", "pitches", (60, 2)),
        ("1", "pitches", (21, 2)),
        ("88", "pitches", (108, 2)),
        ("0", "pitches", (None, 2)),
    ],
)
def test_words_are_notes(word, kind, note):
    assert read_note(word, kind) == Note(*note)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("<unk>", "notes"),
        ("<unk>", "pitches"),
        ("89", "pitches"),
        ("-1", "pitches"),
        ("73:2", "pitches"),
        ("73", "notes"),
        ("128:2", "notes"),
        ("73:0", "notes"),
        ("73:1/0", "notes"),
        ("73:2 ", "notes"),
    ],
)
def test_other_words_are_none(word, kind):
    assert read_note(word, kind) is None
    assert tune([word], kind) == []


def test_equal_steps_are_one_note_on_the_grid_and_two_among_notes():
    assert tune(["40", "40", "0", "0", "40", "41"], "pitches") == [(60, 4), (None, 4), (60, 2), (61, 2)]
    assert tune(["60:2", "60:2"], "notes") == [(60, 2), (60, 2)]


def test_abc_is_spelt_as_the_standard_says():
    notes = [Note(pitch, Fraction(2)) for pitch in (36, 48, 59, 60, 61, 60, 71, 72, 73, 72, 84, 96)]
    assert abc_notes(notes) == "C,, C, B, C ^C =C B =c ^c =c =c' =c''"
    lengths = [Note(60, Fraction(duration)) for duration in DURATIONS]
    assert abc_notes(lengths) == "C/2 C C3/2 C2 C3 C2/3 C/3 C/4 C3/4 C7/4 C/12 C7/3"
    assert abc([Note(62, Fraction(4)), Note(None, Fraction(2))], 7, "mle on folk-tunes") == (
        "X:7\nT:mle on folk-tunes\nM:none\nL:1/8\nQ:1/4=120\nK:C\nD2 z\n"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TUNES)
def test_music21_hears_the_same_in_abc(kind):
    words = [steps(seed) if kind == "pitches" else phrase(seed) for seed in range(4)]
    tunes = [tune(sequence, kind) for sequence in words]
    book = "\n".join(abc(notes, number, f"tune {number}") for number, notes in enumerate(tunes, 1))
    assert parse(book) == [heard(notes) for notes in tunes]


@pytest.mark.parametrize("kind", TUNES)
def test_mido_reads_the_same_from_midi(kind):
    mido = pytest.importorskip("mido")
    tunes = [tune(steps(seed) if kind == "pitches" else phrase(seed), kind) for seed in range(5)]
    file = mido.MidiFile(file=io.BytesIO(midi(tunes)))
    assert file.type == 0
    found, started, now = [], {}, 0
    for message in file.tracks[0]:
        now += message.time
        if message.type == "marker":
            assert message.text == f"tune {len(found) + 1}"
            found.append([])
            begin = now
        elif message.type == "note_on":
            assert message.note not in started
            started[message.note] = now
        elif message.type == "note_off":
            start = started.pop(message.note)
            found[-1].append((Fraction(start - begin, TICKS), message.note, Fraction(now - start, TICKS)))
    assert not started
    assert found == [heard(notes) for notes in tunes]
    sixteenths = sum((note.sixteenths for notes in tunes for note in notes), Fraction(0)) + 5 * 16
    assert file.length == pytest.approx(float(sixteenths) / 8)  # seconds: 120 quarters a minute


def test_durations_that_fall_between_ticks_do_not_drift():
    mido = pytest.importorskip("mido")
    file = mido.MidiFile(file=io.BytesIO(midi([[Note(60, Fraction(1, 11))] * 1100])))
    offs = [message.time for message in file.tracks[0] if message.type == "note_off"]
    assert set(offs) == {229, 230}
    assert sum(message.time for message in file.tracks[0]) == (100 + 16) * TICKS


def test_without_mido_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **named):
        if name == "mido":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=re.escape("pip install 'seqgan-bench[music]'")):
        midi([[Note(60, Fraction(2))]])


def test_a_poem_has_four_lines():
    poem = list("白日依山尽黄河入海流欲穷千里目更上一层楼")
    assert reading(poem, "characters", 5, 1, "") == "白日依山尽\n黄河入海流\n欲穷千里目\n更上一层楼\n"
    assert line(poem, "characters", 5) == "白日依山尽 / 黄河入海流 / 欲穷千里目 / 更上一层楼"
    poem[7] = "<unk>"
    assert line(poem, "characters", 5).split(" / ")[1] == f"黄河{MISSING}海流"


def test_characters_that_are_not_verse_are_joined():
    assert line(list("to be, or"), "characters") == reading(list("to be, or"), "characters", None, 1, "") == "to be, or"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("it 's ( nearly ) done , they said .", "it's (nearly) done, they said."),
        ("do n't stop : i 'm here , we 've time ; you 'll see !", "don't stop: i'm here, we've time; you'll see!"),
        ("`` go on , '' she said -- \" now . \"", '"go on," she said -- "now."'),
        ("$ 5 and 10 % of $4 billion ?", "$5 and 10% of $4 billion?"),
        ("a <unk> in the u.s. today", "a <unk> in the u.s. today"),
        ("", ""),
    ],
)
def test_prose_has_its_punctuation_where_it_belongs(words, text):
    assert prose(words.split()) == text
    assert line(words.split(), "words") == text


def test_other_symbols_stay_as_they_are():
    assert line(["3", "14", "0"], "synthetic") == "3 14 0"


def test_a_tune_in_one_line_is_its_abc():
    assert line(["40", "40", "0", "52"], "pitches") == "C2 z c"
    assert line(["60:2", "<unk>", "r:4", "72:1"], "notes") == "C z2 c/2"
    assert reading(["60:2"], "notes", None, 3, "t").splitlines()[-1] == "C"
    assert reading([], "notes", None, 3, "t").splitlines()[-1] == "z"
