import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from bench.data import downloads, oracle_weights
from bench.data.downloads import WEIGHTS, Download, FetchFailed, Pin, fetch
from bench.data.recipes import RECIPES
from bench.data.splits import SPLITS, write
from bench.errors import NotFetched, UsageError

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"
RAW = "somebody/something/0123456789abcdef0123456789abcdef01234567/data/numbers.txt"
CONTENT = "".join(f"number {number}\n" for number in range(20_000)).encode()
HALF = len(CONTENT) // 2


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture(params=["sha256", "git"])
def pin(request):
    """A pin with all fields, and one of which only git's hash is known."""
    known = request.param == "sha256"
    return Pin(RAW, len(CONTENT) if known else None, sha256(CONTENT) if known else None, blob(CONTENT))


@pytest.fixture
def numbers(pin, mirror, monkeypatch):
    """A made-up corpus that can be fetched: the path of its raw file."""
    recipe_calls = []

    def recipe(files, watch):
        recipe_calls.append(files)
        lines = files[0].read_text().splitlines()
        return {"numbers": {"train": lines[20:], "valid": lines[:10], "test": lines[10:20]}}

    mirror.files[RAW] = CONTENT
    monkeypatch.setattr(downloads, "downloads", lambda: {"numbers": Download("none", (pin,), {"numbers": None})})
    monkeypatch.setitem(RECIPES, "numbers", recipe)
    return downloads.folder() / "raw" / RAW


def part(raw):
    return raw.with_name(f"{raw.name}.part")


def test_a_corpus_is_fetched_verified_and_split(numbers, mirror):
    (place,) = fetch("numbers")
    assert place == downloads.folder() / "corpora" / "numbers"
    assert numbers.read_bytes() == CONTENT
    assert sorted(path.name for path in numbers.parent.iterdir()) == ["numbers.txt"]
    assert [len((place / f"{split}.txt").read_text().splitlines()) for split in SPLITS] == [19_980, 10, 10]
    assert downloads.corpus_path("numbers", "test") == place / "test.txt"
    assert mirror.asked == [(RAW, None)]


def test_what_is_there_is_not_fetched_again(numbers, mirror):
    fetch("numbers")
    fetch("numbers")
    assert len(mirror.asked) == 1


def test_a_file_put_there_by_hand_will_do(numbers, mirror):
    numbers.parent.mkdir(parents=True)
    numbers.write_bytes(CONTENT)
    fetch("numbers")
    assert mirror.asked == []


def test_a_damaged_file_is_fetched_again(numbers, mirror):
    fetch("numbers")
    numbers.write_bytes(CONTENT[:-1] + b"!")
    fetch("numbers")
    assert numbers.read_bytes() == CONTENT
    assert len(mirror.asked) == 2


def test_a_download_that_breaks_off_goes_on_in_the_middle(numbers, mirror):
    mirror.breaks, mirror.breaks_after = 5, len(CONTENT) // 8
    fetch("numbers")
    assert mirror.asked[0] == (RAW, None)
    begun = [int(wanted.removeprefix("bytes=").removesuffix("-")) for _, wanted in mirror.asked[1:]]
    assert len(begun) == 5
    assert all(0 <= times * mirror.breaks_after - at < times * downloads.CHUNK for times, at in enumerate(begun, 1))
    assert numbers.read_bytes() == CONTENT


def test_it_goes_on_in_another_process_too(numbers, mirror):
    numbers.parent.mkdir(parents=True)
    part(numbers).write_bytes(CONTENT[:HALF])
    fetch("numbers")
    assert mirror.asked == [(RAW, f"bytes={HALF}-")]
    assert numbers.read_bytes() == CONTENT
    assert not part(numbers).exists()


def test_a_server_that_cannot_go_on_begins_anew(numbers, mirror):
    mirror.ranges = False
    mirror.breaks, mirror.breaks_after = 1, HALF
    fetch("numbers")
    assert numbers.read_bytes() == CONTENT


def test_a_wrong_first_half_is_thrown_away(numbers, mirror):
    numbers.parent.mkdir(parents=True)
    part(numbers).write_bytes(b"!" * HALF)
    fetch("numbers")
    assert [wanted for _, wanted in mirror.asked] == [f"bytes={HALF}-", None]
    assert numbers.read_bytes() == CONTENT


def test_a_complete_part_is_only_renamed(numbers, mirror, pin):
    numbers.parent.mkdir(parents=True)
    part(numbers).write_bytes(CONTENT)
    fetch("numbers")
    assert numbers.read_bytes() == CONTENT
    assert len(mirror.asked) == (0 if pin.bytes else 1)  # else only the server knows that this is all


def test_a_part_longer_than_the_file_is_thrown_away(numbers, mirror):
    numbers.parent.mkdir(parents=True)
    part(numbers).write_bytes(CONTENT + b"more")
    fetch("numbers")
    assert numbers.read_bytes() == CONTENT


def test_ctrl_c_keeps_what_has_arrived(numbers, mirror):
    def interrupt(what, done, total):
        assert (what, total) == ("downloading", len(CONTENT))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("numbers", watch=interrupt)
    begun = part(numbers).read_bytes()
    assert begun
    assert CONTENT.startswith(begun)
    assert [path.name for path in numbers.parent.iterdir()] == ["numbers.txt.part"]
    fetch("numbers")
    assert mirror.asked[-1] == (RAW, f"bytes={len(begun)}-")
    assert numbers.read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[:-1] + b"!", CONTENT[:-1], CONTENT + b"!", b"", b"<html>log in first</html>"])
def test_another_file_than_the_pinned_one_is_refused(numbers, mirror, pin, sent):
    mirror.files[RAW] = sent
    with pytest.raises(FetchFailed, match="not the file that was pinned") as error:
        fetch("numbers")
    assert pin.digest in str(error.value)
    if not pin.bytes or len(sent) <= pin.bytes:
        assert (sha256(sent) if pin.sha256 else blob(sent)) in str(error.value)
    assert not numbers.exists()
    assert not part(numbers).exists()
    with pytest.raises(NotFetched):
        downloads.corpus_path("numbers", "train")


def test_a_server_that_never_ends_does_not_fill_the_disk(numbers, mirror, pin, monkeypatch):
    monkeypatch.setattr(downloads, "MOST", 2 * len(CONTENT))
    mirror.endless = True
    most = len(CONTENT) if pin.bytes else 2 * len(CONTENT)
    with pytest.raises(FetchFailed, match=rf"expected .*{most:,} bytes and .*, the server has more\. It was deleted"):
        fetch("numbers")
    assert not numbers.exists()
    assert not part(numbers).exists()


def test_a_length_that_is_too_large_is_refused_before_anything_is_read(numbers, mirror, pin):
    mirror.announces = 10**12
    with pytest.raises(FetchFailed, match="the server has 1,000,000,000,000"):
        fetch("numbers")
    assert not part(numbers).exists()


def test_a_bomb_that_a_proxy_packed_is_given_up(numbers, mirror, pin, monkeypatch):
    monkeypatch.setattr(downloads, "MOST", 2 * len(CONTENT))
    mirror.packed = True
    fetch("numbers")  # what is packed on the way, and is what was pinned, is taken
    assert numbers.read_bytes() == CONTENT
    numbers.unlink()
    mirror.files[RAW] = bytes(50_000_000)
    with pytest.raises(FetchFailed, match="the server has more"):
        fetch("numbers")
    assert not part(numbers).exists()


def test_a_server_that_is_far_too_slow_is_given_up_and_nothing_is_lost(numbers, mirror, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    mirror.pause = 0.01
    with pytest.raises(FetchFailed, match="sends less than 1,000 bytes a second and was given up: fetch again"):
        fetch("numbers")
    kept = part(numbers).stat().st_size
    assert 0 < kept < 1_000
    mirror.pause = 0.0
    fetch("numbers")
    assert mirror.asked[-1] == (RAW, f"bytes={kept}-")
    assert numbers.read_bytes() == CONTENT


def test_a_file_that_is_not_there(numbers, mirror, pin):
    mirror.files.clear()
    with pytest.raises(FetchFailed) as error:
        fetch("numbers")
    message = str(error.value)
    assert f"{mirror.address}/{RAW} answers 404" in message
    assert f"put the file at '{numbers}' yourself" in message
    assert f"https://raw.githubusercontent.com/{RAW}" in message
    assert pin.digest in message
    assert len(mirror.asked) == 1


def test_a_busy_server_is_asked_again(numbers, mirror):
    mirror.statuses = [503, 429]
    fetch("numbers")
    assert numbers.read_bytes() == CONTENT


def test_a_broken_server_is_given_up(numbers, mirror):
    mirror.statuses = [500] * 9
    with pytest.raises(FetchFailed, match=r"answered 500 .*check the network and fetch again"):
        fetch("numbers")
    assert len(mirror.asked) == downloads.TRIES


def test_a_connection_that_always_breaks_is_given_up_but_nothing_is_lost(numbers, mirror):
    mirror.breaks, mirror.breaks_after = 99, 0
    with pytest.raises(FetchFailed, match=r"broke off before the end of 'numbers.txt'"):
        fetch("numbers")
    assert len(mirror.asked) == downloads.TRIES


def test_offline_it_says_what_to_do(numbers, pin, monkeypatch):
    with pytest.raises(FetchFailed) as error:
        fetch("numbers", mirror="http://127.0.0.1:9")
    message = str(error.value)
    assert "cannot reach 127.0.0.1:9" in message
    assert "check the network" in message
    assert f"put the file at '{numbers}' yourself" in message
    assert pin.digest in message
    assert "\n" not in message


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "example.org/files", "https://"])
def test_an_invalid_address(numbers, address):
    with pytest.raises(UsageError, match="expected an address such as https"):
        fetch("numbers", mirror=address)


def test_a_folder_that_cannot_be_written(numbers, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path / "file" / "place"))
    with pytest.raises(FetchFailed, match=r"cannot write to .*Not a directory; set \$SEQGAN_BENCH_DATA to another"):
        fetch("numbers")


def test_two_fetches_at_once_do_not_mix(numbers):
    downloads.folder().mkdir(parents=True)
    with FileLock(downloads.folder() / "fetch.lock"), pytest.raises(FetchFailed, match="another `bench data fetch`"):
        fetch("numbers")


def test_a_finished_corpus_is_made_once_and_compared_with_its_hashes(numbers, monkeypatch, pin):
    (place,) = fetch("numbers")
    made = {split: sha256((place / f"{split}.txt").read_bytes()) for split in SPLITS}
    known = Download("none", (pin,), {"numbers": made})
    monkeypatch.setattr(downloads, "downloads", lambda: {"numbers": known})
    seen = []
    fetch("numbers", watch=lambda what, *_: seen.append(what))
    assert seen == []
    (place / "test.txt").write_text("damaged\n")
    fetch("numbers", watch=lambda what, *_: seen.append(what))
    assert seen == ["cleaning"]
    assert sha256((place / "test.txt").read_bytes()) == made["test"]

    wrong = Download("none", (pin,), {"numbers": {**made, "test": "0" * 64}})
    monkeypatch.setattr(downloads, "downloads", lambda: {"numbers": wrong})
    with pytest.raises(FetchFailed, match=f"a test.txt of 'numbers' that differs .* expected sha256 {'0' * 64}, got"):
        fetch("numbers")


def test_progress_counts_all_files(mirror, monkeypatch):
    parts = [CONTENT[:HALF], CONTENT[HALF:]]
    names = [RAW, f"{RAW}2"]
    pins = tuple(Pin(name, len(data), sha256(data), "") for name, data in zip(names, parts, strict=True))
    mirror.files |= zip(names, parts, strict=True)
    monkeypatch.setattr(downloads, "downloads", lambda: {WEIGHTS: Download("none", pins, {})})
    seen = []
    fetch(WEIGHTS, watch=lambda *what: seen.append(what))
    assert {what for what, _, _ in seen} == {"downloading"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("downloading", len(CONTENT), len(CONTENT))


def test_names_that_are_not_known():
    with pytest.raises(UsageError, match=r"unknown download 'coco-caption'\. Did you mean 'coco-captions'\?"):
        fetch("coco-caption")
    for ask in (lambda: downloads.corpus_path("coco-caption", "train"), lambda: downloads.datasheet("coco-caption")):
        with pytest.raises(UsageError, match=r"unknown downloaded corpus .*Did you mean 'coco-captions'\?"):
            ask()


def test_what_is_missing_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path))
    with pytest.raises(NotFetched, match="'nottingham-phrases' is not here: `bench data fetch nottingham`"):
        downloads.corpus_path("nottingham-phrases", "train")
    with pytest.raises(NotFetched, match="`bench data fetch oracle-published`"):
        downloads.weights_path()


def test_the_folder_is_the_users_cache_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path))
    assert downloads.folder() == tmp_path
    monkeypatch.delenv(downloads.VARIABLE)
    assert downloads.folder().name == "seqgan-bench"


def test_the_pins_are_complete():
    assert downloads.names() == [
        "coco-captions", "emnlp-news", "nottingham", "obama", "oracle-published", "ptb", "rnnpg", "texygen-shi",
    ]  # fmt: skip
    assert set(downloads.names()) == {*RECIPES, WEIGHTS}
    for download in downloads.downloads().values():
        assert download.licence
        for pin in download.pins:
            assert re.fullmatch(r"[\w-]+/[\w-]+/[0-9a-f]{40}/[\w./-]+", pin.raw)
            assert ".." not in pin.raw
            assert re.fullmatch("[0-9a-f]{40}", pin.git_blob_sha1)
            assert pin.sha256 is None or re.fullmatch("[0-9a-f]{64}", pin.sha256)
            assert (pin.bytes is None) == (pin.sha256 is None)


@pytest.mark.parametrize("name", sorted({*downloads.names(), *downloads.corpora()}))
def test_every_download_has_a_datasheet(name):
    text = downloads.datasheet(name)
    assert text.startswith(f"# {name}\n")
    assert {"## Origin", "## Licence", "## Traps"} <= set(text.splitlines())
    parent = next(parent for parent, download in downloads.downloads().items() if name in (parent, *download.corpora))
    assert all(pin.raw.split("/")[2][:7] in text for pin in downloads.downloads()[parent].pins)


def test_the_oracles_weights_are_those_that_its_task_asks_for():
    (pin,) = downloads.downloads()[WEIGHTS].pins
    assert pin.sha256 == oracle_weights.PUBLISHED_SHA256
    assert pin.raw == oracle_weights.PUBLISHED_URL.removeprefix("https://github.com/").replace("/raw/", "/")


def test_gits_hash_is_gits(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    file = tmp_path / "numbers.txt"
    file.write_bytes(CONTENT)
    asked = ["git", "hash-object", "--no-filters", str(file)]
    found = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.strip()
    assert Pin(RAW, None, None, found).digest_of(file) == f"git blob sha1 {found}"


def test_the_captions_end_to_end_byte_for_byte(mirror):
    """From the two original files to the three of the reference: download, checksum, cleaning, splits."""
    if not (SHARED / "raw" / "test_coco.txt").is_file():
        pytest.skip("the original captions are not on this machine")
    for pin in downloads.downloads()["coco-captions"].pins:
        mirror.files[pin.raw] = (SHARED / "raw" / Path(pin.raw).name).read_bytes()
        assert blob(mirror.files[pin.raw]) == pin.git_blob_sha1
    (place,) = fetch("coco-captions")
    for split in SPLITS:
        reference = SHARED / "download" / "coco-captions" / f"{split}.txt"
        assert (place / f"{split}.txt").read_bytes() == reference.read_bytes()


def test_the_oracle_end_to_end(mirror):
    if not (SHARED / "oracle").is_dir():
        pytest.skip("the released weights are not on this machine")
    (pin,) = downloads.downloads()[WEIGHTS].pins
    mirror.files[pin.raw] = (SHARED / "oracle" / "target_params_py3.pkl").read_bytes()
    assert fetch(WEIGHTS) == [downloads.weights_path()]
    assert downloads.weights_path().read_bytes() == mirror.files[pin.raw]


def test_the_known_hashes_are_those_of_the_reference_corpora():
    if not (SHARED / "download").is_dir():
        pytest.skip("the reference corpora are not on this machine")
    folders = {"coco-captions": "coco-captions", "nottingham": "nottingham-grid32",
               "nottingham-phrases": "nottingham-phrases", "rnnpg": "rnnpg5"}  # fmt: skip
    known = {name: hashes for download in downloads.downloads().values() for name, hashes in download.corpora.items()}
    for name, hashes in known.items():
        if name in folders:
            folder = SHARED / "download" / folders[name]
            assert hashes == {split: sha256((folder / f"{split}.txt").read_bytes()) for split in SPLITS}
        else:
            assert hashes is None


def test_what_was_changed_after_it_was_made_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    place = tmp_path / "corpora" / "ptb"  # of which only the hashes written when it was made are known
    lines = {f"{split}.txt": b"a b\n" for split in ("train", "valid", "test")}
    hashes = {split.partition(".")[0]: hashlib.sha256(content).hexdigest() for split, content in lines.items()}
    write(place, lines | {downloads.HASHES: json.dumps(hashes).encode()})
    downloads.require("ptb")
    (place / "valid.txt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"are not those that were fetched: `bench data fetch ptb` makes them anew"):
        downloads.require("ptb")
    (place / "train.txt").unlink()
    with pytest.raises(NotFetched, match="corpus 'ptb' is not here"):
        downloads.require("ptb")
