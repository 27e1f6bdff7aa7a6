"""Check-ins made up here, in the formats of both sources: windows, splits, refusals, and what a metric sees."""

from __future__ import annotations

import collections
import gzip
import hashlib
import json
import random
import statistics
from datetime import datetime, timedelta

import numpy as np
import pytest

from bench.data import checkins
from bench.data.checkins import Box, read_checkins
from bench.errors import UsageError
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.next_place import NextPlace
from bench.metrics.trips import Travel
from bench.plans.own_files import own_reports, own_task
from bench.plans.plan import Request, make_plan
from bench.tasks.checkins import Checkins

USERS, VENUES = 90, 60
BOX = "30:30.5:-98:-97.5"


def made_up(seed=0):
    """(user, moment, venue, latitude, longitude) of persons who never were, in order of time."""
    chance = random.Random(seed)
    spots = [(30 + chance.random(), -98 + chance.random()) for _ in range(VENUES)]
    found = []
    for user in range(USERS):
        moment, venue = datetime(2010, 3, 1), chance.randrange(VENUES)
        for _ in range(chance.randint(20, 60)):
            moment += timedelta(minutes=chance.choice([20, 50, 200, 2_000]))
            venue = (venue + chance.choice([1, 1, 2, 7])) % VENUES
            jitter = chance.choice([0, 0, 0.001])
            found.append((user, moment, venue, spots[venue][0] + jitter, spots[venue][1]))
    return found


ROWS = made_up()


def gowalla(rows=ROWS):
    """Newest first for each user."""
    newest = sorted(rows, key=lambda row: (row[0], -row[1].timestamp()))
    lines = (f"{u}\t{t.isoformat()}Z\t{lat!r}\t{lon!r}\t{v}" for u, t, v, lat, lon in newest)
    return "".join(f"{line}\n" for line in lines).encode()


def tsmc(rows=ROWS):
    """By time, with a category that ASCII cannot write."""
    lines = (
        f"{u}\t{v}\t4bf58dd8d48988d1\tCafé\t{lat!r}\t{lon!r}\t-360\t{t.strftime('%a %b %d %H:%M:%S +0000 %Y')}"
        for u, t, v, lat, lon in sorted(rows, key=lambda row: row[1])
    )
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gowalla.txt"
    path.write_bytes(gowalla())
    return path


def write(tmp_path, content, name="file.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def task(path, **fields):
    return Checkins(file=str(path), **{"min_count": 5, "length": 8, **fields})


def split_of(user):
    return {0: "valid", 1: "test"}.get(int(hashlib.sha256(str(user).encode()).hexdigest()[:8], 16) % 10, "train")


def plain_windows(rows, length, min_count, gap=None, shortest=None):
    """Split to the sorted windows of venues, by loops."""
    count = collections.Counter(v for u, _, v, *_ in rows if split_of(u) == "train")
    found = {"train": [], "valid": [], "test": []}
    for user in {u for u, *_ in rows}:
        visits = sorted((t, v) for u, t, v, *_ in rows if u == user and count[v] >= min_count)
        pieces = [[]]
        for at, (t, v) in enumerate(visits):
            if gap and at and t - visits[at - 1][0] > timedelta(hours=gap):
                pieces.append([])
            pieces[-1].append(str(v))
        for piece in pieces:
            windows = [piece[at : at + length] for at in range(0, len(piece), length)]
            found[split_of(user)] += [window for window in windows if len(window) >= (shortest or length)]
    return {split: sorted(windows) for split, windows in found.items()}


def spelled(data):
    spell = data.vocabulary.spell
    parts = {"train": data.training.train, "valid": data.training.valid, "test": data.test}
    return {split: sorted(spell(tokens)) for split, tokens in parts.items()}


@pytest.mark.parametrize("write_rows", [gowalla, tsmc])
@pytest.mark.parametrize(("gap", "shortest"), [(None, None), (10, 2)])
def test_windows_are_those_of_plain_loops(tmp_path, write_rows, gap, shortest):
    data = task(write(tmp_path, write_rows()), gap=gap).load()
    assert spelled(data) == plain_windows(ROWS, 8, 5, gap, shortest)
    spec, vocabulary = data.training.spec, data.vocabulary
    assert (spec.kind, spec.seq_len, spec.eos) == (
        "places",
        8 + (gap is not None),
        len(vocabulary.words) - 1 if gap else None,
    )
    assert (data.training.train != 0).all()  # no venue is unknown
    count = collections.Counter(str(v) for u, _, v, *_ in ROWS if split_of(u) == "train")
    order = sorted((v for v in count if count[v] >= 5), key=lambda v: (-count[v], v))
    assert list(vocabulary.words) == ["<unk>", *order, *(["<eos>"] if gap else [])]
    for word, point in zip(vocabulary.words, vocabulary.places, strict=True):
        if word[0] == "<":
            assert np.isnan(point).all()
        else:
            at = [row[3:] for row in ROWS if str(row[2]) == word]
            assert point.tolist() == pytest.approx([statistics.median(values) for values in zip(*at, strict=True)])


def test_both_formats_packed_or_not_are_the_same_data(tmp_path, path):
    whole = task(path).load()
    packed = write(tmp_path, gzip.compress(gowalla()), "packed.gz")
    windows = write(tmp_path, gowalla().replace(b"\n", b"\r\n") + b"\r\n\r\n", "windows.txt")
    marked = write(tmp_path, b"\xef\xbb\xbf" + gowalla(), "marked.txt")
    for other in (packed, windows, marked):
        assert spelled(task(other).load()) == spelled(whole)
        assert task(other).load().sha256 == whole.sha256
    assert spelled(task(write(tmp_path, tsmc())).load()) == spelled(whole)


def test_parts_of_a_file_are_read_alike(path, monkeypatch):
    whole = read_checkins(path, Box())
    monkeypatch.setattr(checkins, "CHUNK", 1_000)
    parts = read_checkins(path, Box())
    assert [list(getattr(parts, name)) for name in ("users", "venues", "user", "venue", "seconds")] == [
        list(getattr(whole, name)) for name in ("users", "venues", "user", "venue", "seconds")
    ]
    assert np.array_equal(parts.places, whole.places)


def test_a_box_cuts_a_city_out(path):
    inside = [row for row in ROWS if 30 <= row[3] <= 30.5 and -98 <= row[4] <= -97.5]
    assert 0.1 < len(inside) / len(ROWS) < 0.5
    chosen = task(path, box=BOX, length=2)
    assert spelled(chosen.load()) == plain_windows(inside, 2, 5)
    users, venues = (len({row[at] for row in inside}) for at in (0, 2))
    assert chosen.report()[1] == (
        f"inside the box: {len(inside):,} check-ins of {users} users at {venues} venues; "
        f"{len(ROWS) - len(inside):,} are elsewhere"
    )
    east = Box.parse("-10:10:170:-170")
    assert east.holds(np.zeros(4), np.array([175.0, -175.0, 0.0, 170.0])).tolist() == [True, True, False, True]


def test_no_user_is_in_two_splits_and_reports_say_what_was_read(path):
    chosen = task(path)
    notes = chosen.report()
    assert notes[0] == f"gowalla.txt: {len(ROWS):,} check-ins in the format of Gowalla"
    assert notes[1].startswith(f"inside the box: {len(ROWS):,} check-ins of 90 users at 60 venues")
    assert notes[2].startswith("venues: ")
    users = collections.Counter(map(split_of, range(USERS)))
    assert all(f"{split} of {users[split]} users" in notes[3] for split in users)
    assert "although no user is" in notes[4]
    assert any("movements of persons" in note for note in notes)
    twice = path.with_name("twice.txt")
    twice.write_bytes(gowalla() + gowalla()[: gowalla().index(b"\n") + 1])
    assert "; 1 that repeat another are left out" in task(twice).report()[0]
    assert task(twice).load().sha256 == chosen.load().sha256


def test_the_fingerprint_is_the_content_and_the_parameters(path, tmp_path):
    chosen = task(path)
    moved = write(tmp_path, gowalla(), "elsewhere.txt")
    assert task(moved).fingerprint() == chosen.fingerprint()
    changed = write(tmp_path, gowalla()[:-2] + b"9\n", "changed.txt")
    others = [
        task(changed),
        *(task(path, **more) for more in ({"gap": 9.0}, {"box": BOX}, {"length": 7}, {"min_count": 4})),
    ]
    assert len({other.fingerprint() for other in (chosen, *others)}) == 6
    assert task(path, box="30:30.5:-98.0:-97.50").fingerprint() == task(path, box=BOX).fingerprint()
    assert json.loads(chosen.fingerprint())["box"] == [-90, 90, -180, 180]
    first = chosen.load()
    assert first.sha256 == task(path).load().sha256
    first.training.train.zero_()  # what somebody writes into is not what the next one gets
    assert chosen.load().sha256 == task(moved).load().sha256


LINE = gowalla().partition(b"\n")[0]
FOUR = tsmc().partition(b"\n")[0]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "is empty: expected a check-in a line"),
        (
            b"userId,venueId,venueCategoryId,x,latitude,longitude\n",
            "in line 1 of 'PATH', got 1; it has commas: write it",
        ),
        (b"a\tb\tc\n", "expected 8 columns (Foursquare's TSMC2014) or 5 columns (Gowalla) separated by tabs in line 1"),
        (
            b"user\ttime\tlat\tlon\tvenue\n" + LINE,
            "line 1 of 'PATH', got 'lat'; the format of Gowalla has no header: remove",
        ),
        (
            LINE + b"\n" + LINE.replace(b"\t30", b"\tnorth"),
            "expected a latitude in degrees in column 3 of line 2 of 'PATH'",
        ),
        (LINE + b"\n0\t2010-02-30T00:00:00Z\t30\t-98\t1", "a time as in 2010-10-19T23:55:27Z in column 2 of line 2"),
        (LINE + b"\n0\t2010-02-20 00:00:00Z\t30\t-98\t1", "got '2010-02-20 00:00:00Z'"),
        (
            LINE + b"\n0\t2010-02-20T00:00:00Z\t30\tinf\t1",
            "a longitude in degrees in column 4 of line 2 of 'PATH', got 'inf'",
        ),
        (LINE + b"\n0\t2010-02-20T00:00:00Z\t30\t-98\t", "expected a venue in column 5 of line 2 of 'PATH', got ''"),
        (LINE + b"\n\t2010-02-20T00:00:00Z\t30\t-98\t3", "expected a user in column 1 of line 2 of 'PATH', got ''"),
        (LINE + b"\n" + LINE + b"\tmore", "expected 5 columns separated by tabs in line 2 of 'PATH'"),
        (LINE + b"\n\n" + LINE, "line 2 of 'PATH' is blank"),
        (
            FOUR + b"\n" + FOUR.replace(b"Mar", b"Mrz"),
            "expected a time as in Tue Apr 03 18:00:09 +0000 2012 in column 8 of line 2",
        ),
        (FOUR + b"\n" + FOUR.replace(b"+0000", b"+0100"), "expected a time as in Tue Apr 03 18:00:09 +0000 2012"),
        (LINE + b"\n0\t2010-02-20T00:00:00Z\t-98\t30\t3", "1 of the 2 lines of 'PATH' have coordinates off the globe"),
        (LINE + b"\n0\t2010-02-20T00:00:00Z\t30\t-98\ta b", "without white space or '<', got 'a b'"),
        (LINE, "too few sequences of check-ins: 0 train, 0 valid, 0 test; expected at least 100"),
        (gowalla().decode().encode("utf-16"), "'PATH' is UTF-16: expected the file as it is distributed"),
        (b"\0\0\0\0" + LINE, "'PATH' is binary"),
        (gzip.compress(gowalla())[:-200], "'PATH' is packed by gzip and damaged"),
    ],
)
def test_what_is_refused(tmp_path, content, shown):
    path = write(tmp_path, content)
    with pytest.raises(UsageError) as caught:
        task(path).load()
    assert shown.replace("PATH", str(path)) in str(caught.value)


def test_a_blank_line_between_two_parts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkins, "CHUNK", len(LINE))
    path = write(tmp_path, LINE + b"\n\n" + LINE)
    with pytest.raises(UsageError, match=r"line 2 of .* is blank"):
        task(path).load()


def test_other_mistakes(tmp_path, path):
    with pytest.raises(UsageError, match="cannot read"):
        task(tmp_path / "none.txt").fingerprint()
    with pytest.raises(UsageError, match="expected a file of check-ins, got the folder"):
        read_checkins(tmp_path, Box())
    with pytest.raises(UsageError, match="needs a file: checkins:FILE"):
        Checkins().fingerprint()
    with pytest.raises(UsageError, match=r"no check-in of .* is inside the box: [\d,]+ are elsewhere; widen it"):
        task(path, box="0:1:0:1").load()
    with pytest.raises(UsageError, match=r"too few sequences of check-ins: .*lower min_count=1000"):
        task(path, min_count=1000).load()
    for box in ("30:30.5:-98", "30.5:30:-98:-97", "a:b:c:d", "30:30.5:-98:200", "30:30.5:-98:-98", "nan:30:-98:-97"):
        with pytest.raises(ValueError, match="expected box=SOUTH:NORTH:WEST:EAST in degrees"):
            task(path, box=box)
    with pytest.raises(ValueError, match=r"its south, 30\.5, is not below its north, 30"):
        task(path, box="30.5:30:-98:-97")


def test_the_command_line_spells_it(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    box = "30:30.9:-98:-97.1"
    name = f"checkins:gowalla.txt,box={box},length=4,min_count=5,gap=24"
    plugin, fields = own_task(name)
    assert plugin.name == "checkins:gowalla.txt"
    assert fields == {"file": str(path), "box": box, "length": 4, "min_count": 5, "gap": 24.0}
    plan = make_plan(Request(("random",), (name,), ("nll",), 1, "smoke", temperatures=()))
    assert {spec.task_label for spec in plan} == {f"checkins:gowalla.txt[box={box}, gap=24.0, length=4, min_count=5]"}
    assert "movements of persons" in " ".join(own_reports(plan)[plan[0].task_label])
    for wrong in ("checkins:gowalla.txt,length=1", "checkins:gowalla.txt,gap=0", "checkins:"):
        with pytest.raises(UsageError, match="expected "):
            own_task(wrong)
    with pytest.raises(UsageError, match=r"fields of 'checkins:gowalla.txt' do not go together: expected box="):
        make_plan(Request(("random",), ("checkins:gowalla.txt,box=here",), ("nll",), 1, "smoke", temperatures=()))


@pytest.mark.parametrize("gap", [None, 10])
def test_the_metrics_of_trips_read_it(path, gap):
    data = task(path, gap=gap).load()
    given, vocabulary = data.training, data.vocabulary
    held_out = HeldOut(
        given.spec,
        data.test,
        None,
        0,
        data.tokenizer,
        given.train,
        vocabulary.words,
        None,
        given.valid,
        vocabulary.places,
    )
    evidence = Evidence(None, given.train, held_out, trained=True)
    found = {result.metric: result for metric in (Travel(), NextPlace()) for result in evidence.ask(metric)}
    assert all(result.absent is None for result in found.values())
    assert found["trips_unplaced"].value == 0
    assert found["next_place_accuracy5"].value > 0.5
    assert found["trip_distance_w1"].value < 60
