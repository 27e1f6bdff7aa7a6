"""Folders of MIDI files, written here by mido, read as windows of pitches."""

import itertools
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import midi
from bench.data.midi import STEPS, folder_hash, read_tune, read_tunes
from bench.data.midi_events import MOST_BYTES, UnreadableMidi, read_notes
from bench.errors import UsageError

mido = pytest.importorskip("mido")

BEAT = 480
EIGHTH = BEAT // 2


def save(path, *voices, beat=BEAT, kind=1):
    """Write a file with one track per voice: a channel and notes (start, end, pitch) in ticks."""
    file = mido.MidiFile(ticks_per_beat=beat, type=kind)
    for channel, notes in voices:
        track = mido.MidiTrack()
        events = [(start, 1, pitch) for start, _, pitch in notes] + [(end, 0, pitch) for _, end, pitch in notes]
        now = 0
        for time, on, pitch in sorted(events):
            kind_of = "note_on" if on or pitch % 2 else "note_off"  # both ways to end a note
            track.append(mido.Message(kind_of, channel=channel, note=pitch, velocity=64 * on, time=time - now))
            now = time
        file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)
    return path


def notes(pitches, step=EIGHTH, start=0, held=1.0):
    """One note per step; None for a rest."""
    return [
        (start + i * step, start + i * step + int(held * step), pitch)
        for i, pitch in enumerate(pitches)
        if pitch is not None
    ]


def tune_pitches(path):
    return read_tune(path).pitches


def melody(seed, length=STEPS * 4):
    return random.Random(seed).choices(range(60, 80), k=length)


def test_a_plain_tune(tmp_path):
    tune = melody(0)
    assert tune_pitches(save(tmp_path / "a.mid", (0, notes(tune)))) == tune


@pytest.mark.parametrize("beat", [24, 96, 480, 10_000])
@pytest.mark.parametrize("sixteenths", [1, 2, 4])
def test_the_step_is_the_commonest_interval(tmp_path, beat, sixteenths):
    tune = melody(1)
    assert tune_pitches(save(tmp_path / "a.mid", (0, notes(tune, beat * sixteenths // 4)), beat=beat)) == tune


def test_longer_notes_fill_their_steps_and_dotted_pairs_are_counted_in_sixteenths(tmp_path):
    eighths = [(0, BEAT, 60), *notes([62, 64, 65, 67, 69, 71], start=BEAT), (4 * BEAT, 6 * BEAT, 72)]
    expected = [60, 60, 62, 64, 65, 67, 69, 71, 72, 72, 72, 72]
    assert tune_pitches(save(tmp_path / "a.mid", (0, eighths))) == expected
    sixteenth = BEAT // 4
    dotted = [(i * BEAT, i * BEAT + 3 * sixteenth, 60 + i) for i in range(9)]
    dotted += [(i * BEAT + 3 * sixteenth, (i + 1) * BEAT, 80) for i in range(5)]
    found = tune_pitches(save(tmp_path / "b.mid", (0, dotted)))
    assert found[:8] == [60, 60, 60, 80, 61, 61, 61, 80]
    assert found[-4:] == [0, 68, 68, 68]


def test_rests_between_and_the_silence_before(tmp_path):
    tune = [60, 62, None, 64, 65, None, None, 67, 69, 71]
    path = save(tmp_path / "a.mid", (0, notes(tune, start=17 * EIGHTH + 5)))
    assert tune_pitches(path) == [pitch or 0 for pitch in tune]


def test_played_by_hand(tmp_path):
    tune, chance = melody(2), random.Random(0)
    played = [
        (max(0, start + chance.randint(-40, 40)), end + chance.randint(-100, -20), pitch)
        for start, end, pitch in notes(tune)
    ]
    found = tune_pitches(save(tmp_path / "a.mid", (0, played)))
    assert found[: len(tune) - 1] == tune[:-1] or found[1 : len(tune)] == tune[1:]


def test_the_highest_note_of_a_chord(tmp_path):
    tune = melody(3)
    both = notes(tune) + notes([pitch - 7 for pitch in tune]) + notes([pitch - 12 for pitch in tune])
    assert tune_pitches(save(tmp_path / "a.mid", (0, both))) == tune


@pytest.mark.parametrize("kind", [0, 1])
def test_the_voice_with_the_most_beginnings_wins_and_drums_never(tmp_path, kind):
    tune = melody(4)
    chords = [(i * BEAT, (i + 1) * BEAT, pitch) for i in range(64) for pitch in (90, 94, 97, 99)]
    drums = notes([40] * 1_000, step=BEAT // 4)
    path = save(tmp_path / "a.mid", (1, chords), (0, notes(tune)), (9, drums))
    if kind == 0:  # all in one track: only channels tell them apart
        file = mido.MidiFile(path)
        merged = mido.MidiFile(type=0, ticks_per_beat=BEAT, tracks=[mido.merge_tracks(file.tracks)])
        merged.save(path)
    assert tune_pitches(path) == tune


def test_of_equal_voices_the_higher(tmp_path):
    tune = melody(5)
    low = [pitch - 24 for pitch in tune]
    assert tune_pitches(save(tmp_path / "a.mid", (0, notes(low)), (1, notes(tune)))) == tune
    assert tune_pitches(save(tmp_path / "b.mid", (0, notes(tune)), (1, notes(low)))) == tune


def test_notes_that_are_never_released(tmp_path):
    track = mido.MidiTrack()
    for pitch in (60, 62, 62, 64):
        track.append(mido.Message("note_on", note=pitch, time=0 if pitch == 60 else EIGHTH))
    track.append(mido.MetaMessage("end_of_track", time=EIGHTH))
    mido.MidiFile(ticks_per_beat=BEAT, tracks=[track]).save(tmp_path / "a.mid")
    assert tune_pitches(tmp_path / "a.mid") == [60, 62, 62, 64]  # the highest of all that still sound


def header(division, tracks=b""):
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, division) + tracks


def track(body):
    return b"MTrk" + struct.pack(">I", len(body)) + body


HOSTILE = {
    "empty": b"",
    "text": b"this is no music\n" * 10,
    "header only": header(480),
    "cut": header(480, track(bytes([0, 0x90, 60, 64, 96, 0x80, 60, 0]))[:-3]),
    "no beats": header(0xE728, track(bytes([0, 0x90, 60, 64, 96, 0x90, 62, 64, 96, 0x80, 62, 0, 0, 0xFF, 0x2F, 0]))),
    "zero beats": header(0, track(bytes([0, 0x90, 60, 64, 96, 0x90, 62, 64, 96, 0x80, 62, 0, 0, 0xFF, 0x2F, 0]))),
    "forever": header(
        4, track(bytes([0, 0x90, 60, 64, 1, 0x90, 62, 64, 1, 0x90, 64, 64, 0xFF, 0xFF, 0xFF, 0x7F, 0x80, 64, 0]))
    ),
    "noise": bytes(random.Random(0).choices(range(256), k=1_000)),
    "noise after a header": header(480, b"MTrk" + bytes(random.Random(1).choices(range(256), k=1_000))),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_broken_files_are_not_tunes(tmp_path, content):
    (tmp_path / "a.mid").write_bytes(content)
    try:
        assert tune_pitches(tmp_path / "a.mid") == []
    except UnreadableMidi as reason:
        shown = str(reason)
        assert shown
    with pytest.raises(UsageError, match=r"could be read|expected at least 100 windows"):
        read_tunes(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """Sixty tunes of four windows, some things that are not tunes, and one tune under two names."""
    for seed in range(60):
        name = f"{seed % 7}/{seed}.{'MIDI' if seed % 2 else 'mid'}"
        save(tmp_path / "tunes" / name, (0, notes(melody(seed))))
    save(tmp_path / "tunes" / "again.mid", (3, notes(melody(7), start=960)))
    save(tmp_path / "tunes" / "short.mid", (0, notes(melody(0, 20))))
    (tmp_path / "tunes" / "._0.mid").write_bytes(b"\0\5\26\7")
    (tmp_path / "tunes" / "notes.txt").write_text("no music")
    return tmp_path / "tunes"


def windows(splits):
    return {
        split: [[int(splits.words[token]) for token in row] for row in part.tokens.reshape(-1, STEPS).tolist()]
        for split, part in splits.parts.items()
    }


def test_a_folder_is_split_tune_by_tune(folder):
    splits = read_tunes(folder)
    found = windows(splits)
    home = {tuple(window): split for split, part in found.items() for window in part}
    assert min(map(len, found.values())) > 0
    for seed in range(60):
        tune = [pitch - 20 for pitch in melody(seed)]
        parts = [tuple(tune[i : i + STEPS]) for i in range(0, len(tune), STEPS)]
        assert len({home[part] for part in parts}) == 1
    assert sum(map(len, found.values())) == 61 * 4
    assert splits.notes[0] == "tunes: 63 files, 1 unreadable, 1 without a window"
    assert set(splits.words) <= {str(key) for key in range(89)}
    assert all(set(part.lengths.tolist()) == {STEPS} for part in splits.parts.values())


def test_windows_that_are_not_music_are_left_out(folder):
    before = sum(map(len, windows(read_tunes(folder)).values()))
    rests = [None if i % 6 == 5 else pitch for i, pitch in enumerate(melody(1_000, STEPS))]
    trill, low = [60, 62, 64, 62] * 8, [*melody(1_001, STEPS - 1), 20]
    for number, tune in enumerate((rests, trill, low)):
        save(folder / f"x{number}.mid", (0, notes([*tune, 60])))
    splits = read_tunes(folder)
    assert sum(map(len, windows(splits).values())) == before
    assert "3 with too many rests, too few pitches or notes beyond the piano" in splits.notes[1]


def test_windows_of_a_held_out_tune_are_removed_from_training(folder):
    splits = read_tunes(folder)
    test = windows(splits)["test"][0]
    for number in range(8):  # other tunes that quote it: some of them are in training
        save(folder / f"quote{number}.mid", (0, notes([key + 20 for key in test] + melody(2_000 + number, STEPS))))
    again = windows(read_tunes(folder))
    assert test not in again["train"]
    assert test not in again["valid"]


def test_the_hash_of_a_folder_is_that_of_its_contents(folder, tmp_path):
    before = folder_hash(folder)
    (folder / "again.mid").rename(folder / "renamed.mid")
    (folder / "notes.txt").write_text("still no music")
    assert folder_hash(folder) == before
    (folder / "renamed.mid").unlink()
    assert folder_hash(folder) != before


def test_what_is_not_a_folder_of_tunes(tmp_path):
    with pytest.raises(UsageError, match="expected a folder of MIDI files"):
        read_tunes(tmp_path / "missing")
    with pytest.raises(UsageError, match="holds no MIDI files"):
        folder_hash(tmp_path)
    (tmp_path / "a.mid").write_bytes(b"")
    with pytest.raises(UsageError, match="none of the 1 MIDI files"):
        read_tunes(tmp_path)


def test_halves_are_rounded_up():
    assert midi._rounded(np.array([0.5, 1.5, 2.5, 2.49, -0.5])).tolist() == [1, 2, 3, 2, 0]


def events(*content):
    return track(b"".join(content) + b"\0\xff\x2f\0")


def file_of(*chunks, count=1, division=BEAT):
    return b"MThd" + struct.pack(">IHHH", 6, 1, count, division) + b"".join(chunks)


SCALE = [60, 62, 64, 65, 67, 69, 71, 72]
PLAYED = b"".join(bytes([0, 0x90, pitch, 64, 0x81, 0x70, 0x80, pitch, 0]) for pitch in SCALE)
ODD = {
    "plain": file_of(events(PLAYED)),
    "bad key": file_of(events(b"\0\xff\x59\x02\x63\x07", PLAYED)),
    "short tempo": file_of(events(b"\0\xff\x51\x01\x07", PLAYED)),
    "bad time signature": file_of(events(b"\0\xff\x58\x04\0\xff\0\0", PLAYED)),
    "odd text": file_of(events(b"\0\xff\x03\x03\xff\xfe\x81", PLAYED)),
    "unknown meta event": file_of(events(b"\0\xff\x77\x01\0", PLAYED)),
    "system exclusive": file_of(events(b"\0\xf0\x03\x01\x02\xf7", PLAYED)),
    "foreign chunk before": file_of(b"XFIH\0\0\0\x03abc", events(PLAYED)),
    "foreign chunk after": file_of(events(PLAYED), b"XFIH\0\0\0\x03abc"),
    "more tracks stated": file_of(events(PLAYED), count=9),
    "fewer tracks stated": file_of(events(), events(PLAYED), count=1),
    "no tracks stated": file_of(events(PLAYED), count=0),
    "RIFF": b"RIFF\0\0\0\0RMIDdata" + struct.pack("<I", len(file_of(events(PLAYED)))) + file_of(events(PLAYED)),
    "junk behind": file_of(events(PLAYED), b"\0\0\0"),
    "running status": file_of(
        events(
            b"\0\x90\x3c\x40",
            *(bytes([0x81, 0x70, a, 0, 0, b, 64]) for a, b in itertools.pairwise(SCALE)),
            bytes([0x81, 0x70, 72, 0]),
        )
    ),
    "running status past a meta event": file_of(
        events(PLAYED[:9], b"\0\xff\x01\0", *(bytes([0, 0x90, p, 64, 0x81, 0x70, p, 0]) for p in SCALE[1:]))
    ),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_what_does_not_concern_notes_does_not_stop_a_reader(tmp_path, content):
    (tmp_path / "a.mid").write_bytes(content)
    tune = read_tune(tmp_path / "a.mid")
    assert (tune.pitches, tune.cut) == (SCALE, False)


def test_a_file_that_is_cut_gives_the_notes_up_to_there(tmp_path):
    (tmp_path / "a.mid").write_bytes(ODD["plain"][:-16])
    tune = read_tune(tmp_path / "a.mid")
    assert (tune.pitches, tune.cut) == (SCALE[:7], True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no music", "no header"),
        (b"MThd\0\0\0\6", "header that is too short"),
        (file_of(events(PLAYED), division=0xE728), "time in seconds"),
        (file_of(events(PLAYED), division=0), "beat of no ticks"),
        (file_of(), "no track"),
        (b"RIFF\4\0\0\0RMID", "RIFF file without music"),
        (file_of(events(b"\0\x3c\x40")), "track 1 begins without an event"),
        (file_of(events(b"\0\xf5")), "unknown event 0xf5"),
        (file_of(events(b"\xff\xff\xff\xff\x7f")), "number of over four bytes"),
        (file_of(track(PLAYED[:-1])), "track 1 ends within an event"),
        (file_of(events(b"\0\xff\1\xff\xff\xff\x7f")), "track 1 ends within an event"),
        (file_of(track(b"") * 65_536), "over 65,535 tracks"),
        (file_of(track(bytes([0, 0x90, 60, 64] * 500_002))), "over 500,000 notes"),
        (bytes(MOST_BYTES + 1), "over 16 MiB"),
    ],
)
def test_what_cannot_be_read_has_a_reason(content, reason):
    with pytest.raises(UnreadableMidi, match=reason):
        read_notes(content)


def test_unreadable_and_cut_files_are_named_safely(folder):
    (folder / "\x1b[2J.mid").write_bytes(b"no music")
    (folder / "cut.mid").write_bytes((folder / "0" / "0.mid").read_bytes()[:-100])
    notes_of = read_tunes(folder).notes
    assert r"2 unreadable: '\x1b[2J.mid' (no header), ._0.mid (no header)" in notes_of
    assert "1 cut short, read up to the cut: cut.mid" in notes_of


def by_mido(path):
    """The notes of each voice, as mido decodes them."""
    file = mido.MidiFile(path, clip=True)
    voices = []
    for each in file.tracks:
        found, sounding, now = {}, {}, 0
        for message in each:
            now += message.time
            if message.type in ("note_on", "note_off") and message.channel != 9:
                key = message.channel, message.note
                if key in sounding:
                    found.setdefault(key[0], []).append((sounding.pop(key), now, key[1]))
                if message.type == "note_on" and message.velocity:
                    sounding[key] = now
        for channel, pitch in list(sounding):
            found.setdefault(channel, []).append((sounding[channel, pitch], now, pitch))
        voices += found.values()
    return voices


@pytest.mark.parametrize("seed", range(40))
def test_the_same_notes_as_mido(tmp_path, seed):
    stream = random.Random(seed)
    file = mido.MidiFile(ticks_per_beat=stream.choice([24, 96, 480]), type=1)
    for _ in range(stream.randint(1, 4)):
        file.tracks.append(mido.MidiTrack())
        for _ in range(stream.randint(0, 300)):
            time, channel = stream.choice([0, 0, 24, 300, 20_000]), stream.choice([0, 1, 9])
            name = stream.choice(["note_on"] * 3 + ["note_off"] * 2 + ["program_change", "pitchwheel", "sysex", "text"])
            pitch, velocity = stream.randint(0, 127), stream.choice([0, 64, 127])
            match name:
                case "text":
                    message = mido.MetaMessage("text", text="la", time=time)
                case "sysex":
                    message = mido.Message("sysex", data=[1, 2, 3], time=time)
                case "program_change" | "pitchwheel":
                    message = mido.Message(name, channel=channel, time=time)
                case _:
                    message = mido.Message(name, channel=channel, note=pitch, velocity=velocity, time=time)
            file.tracks[-1].append(message)
    file.save(tmp_path / "a.mid")
    content = bytearray((tmp_path / "a.mid").read_bytes())
    assert read_notes(bytes(content)).voices == by_mido(tmp_path / "a.mid")


def test_any_damage_to_a_file_is_answered(tmp_path):
    stream = random.Random(0)
    path = tmp_path / "a.mid"
    valid = list(ODD.values())
    for _ in range(3_000):
        content = bytearray(stream.choice(valid))
        for _ in range(stream.randint(1, 5)):
            at = stream.randrange(len(content))
            content[at : at + stream.randint(0, 3)] = stream.randbytes(stream.randint(0, 3))
        path.write_bytes(content or b"x")
        try:
            pitches = read_tune(path).pitches
        except UnreadableMidi as reason:
            pitches, shown = [], str(reason)
            assert shown.isprintable()
        assert all(0 <= pitch <= 127 for pitch in pitches)


@settings(max_examples=500, deadline=1000)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_answered(content, headed):
    try:
        found = read_notes(file_of(track(content)) if headed else content)
    except UnreadableMidi:
        return
    assert all(begin <= end and 0 <= pitch <= 127 for voice in found.voices for begin, end, pitch in voice)


def test_a_folder_of_damaged_files_gives_its_tunes_or_a_users_mistake(folder, tmp_path):
    stream = random.Random(1)
    (tmp_path / "broken").mkdir()
    for number in range(200):
        content = bytearray(stream.choice([*ODD.values(), (folder / "0" / "0.mid").read_bytes()]))
        for _ in range(3):
            content[stream.randrange(len(content))] = stream.randrange(256)
        for place in (folder, tmp_path / "broken"):
            (place / f"damaged{number}.mid").write_bytes(content[: stream.randint(0, 2 * len(content))])
    assert sum(len(part.lengths) for part in read_tunes(folder).parts.values()) >= 61 * 4
    try:
        assert read_tunes(tmp_path / "broken").words
    except UsageError as mistake:
        shown = str(mistake)
        assert "\n" not in shown
