import random
from pathlib import Path

import pytest

from bench.data.recipes import RECIPES, presidents
from bench.data.splits import SPLITS, bucket, content, split_of

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


def quiet(what, done, total):
    """Ignore the progress."""


def make(name, tmp_path, *texts):
    """The splits of a corpus that is made from raw files with these texts."""
    files = []
    for index, text in enumerate(texts):
        files.append(tmp_path / f"raw{index}.txt")
        files[-1].write_text(text, encoding="utf-8")
    return RECIPES[name](files, quiet)


def test_captions_are_tokenized_and_none_of_test_is_in_train(tmp_path):
    numbered = "\n".join(f'a dog number {number} runs "fast".  ' for number in range(200))
    made = make("coco-captions", tmp_path, f"{numbered}\nA man.\na man .\n", "a man.\na  cat's bed\na cat's bed\n\n")
    splits = made["coco-captions"]
    assert splits["test"] == ["a cat 's bed"]
    assert sorted(splits["train"] + splits["valid"]) == sorted(
        ["a man .", *(f"a dog number {number} runs fast ." for number in range(200))]
    )
    assert all(bucket(line) == 0 for line in splits["valid"])
    assert not any(bucket(line) == 0 for line in splits["train"])
    assert 8 < len(splits["valid"]) < 35


def test_news_keeps_its_own_tokens(tmp_path):
    made = make("emnlp-news", tmp_path, "i don ' t know .\n`` so ''  he says .\n", "i don ' t know .\nwe will see .\n")
    splits = made["emnlp-news"]
    assert sorted(splits["train"] + splits["valid"]) == ["`` so '' he says .", "i don ' t know ."]
    assert splits["test"] == ["we will see ."]


def test_the_treebank_is_left_as_it_is(tmp_path):
    made = make("ptb", tmp_path, " the <unk> rose N \n no it was n't \n no it was n't \n", " b \n\n", " c \n")
    assert made == {"ptb": {"train": ["the <unk> rose N", *["no it was n't"] * 2], "valid": ["b"], "test": ["c"]}}


def test_quatrains_that_lost_a_character_are_left_out(tmp_path):
    whole, lost = "明 月 何 时 有\t把 酒 问 青 天\n", "<R> 月 何 时 有\t把 酒 问 青 天\n"
    made = make("rnnpg", tmp_path, whole + lost, whole, lost)
    assert made == {"rnnpg": {"train": [whole.replace("\t", " ").strip()], "valid": made["rnnpg"]["train"], "test": []}}


def test_zhang_and_lapatas_quatrains_come_out_byte_for_byte(tmp_path):
    """From files like theirs, lines of five characters separated by tabs, in any order."""
    folder = SHARED / "download" / "rnnpg5"
    if not folder.is_dir():
        pytest.skip("the reference corpora are not on this machine")
    texts = []
    for split in SPLITS:
        poems = [line.split(" ") for line in (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()]
        raw = ["\t".join(" ".join(poem[begin : begin + 5]) for begin in range(0, 20, 5)) for poem in poems]
        random.Random(split).shuffle(raw)
        texts.append("".join(f"{line}\n" for line in raw))
    assert [len(text.encode()) for text in texts[1:]] == [80_000, 82_000]  # the sizes of the files that are pinned
    texts[0] += "".join(f"{line.replace(line[0], '<R>')}\n" for line in texts[1].splitlines()[:176])
    made = make("rnnpg", tmp_path, *texts)["rnnpg"]
    for split in SPLITS:
        assert content(made[split]) == (folder / f"{split}.txt").read_bytes()


def poem(*verses):
    return " ".join("".join(f"{verse}{mark}" for verse, mark in zip(verses, "，。，。", strict=True))) + " \n"


def test_poems_lose_their_marks_and_held_out_ones_share_no_verse_with_train(tmp_path):
    rng = random.Random(0)
    verses = ["".join(chr(rng.randrange(0x4E00, 0x9FA0)) for _ in range(5)) for _ in range(600)]
    poems = [verses[begin : begin + 4] for begin in range(0, 600, 4)]
    train = next(verses for verses in poems if split_of("".join(verses)) == "train")
    held_out = next(verses for verses in poems if split_of("".join(verses)) == "test")
    for last in verses:  # a poem of the test split that ends with a verse of train, and one that does not
        kin = [*held_out[:3], train[3]] if last == verses[0] else [train[0], last, *held_out[2:]]
        if split_of("".join(kin)) == "test":
            poems.append(kin)
            break
    lines = [poem(*verses) for verses in poems]
    lost = poem("一二三四五", "六七八九十", "甲乙丙丁ē", "子丑寅卯辰")
    made = make("texygen-shi", tmp_path, "".join([*lines, lines[0], lost, poem("一", "二", "三", "四")]))["texygen-shi"]
    expected = {"".join(verses) for verses in poems}
    found = [line.replace(" ", "") for split in SPLITS for line in made[split]]
    assert sorted(found) == sorted(expected - {"".join(kin)})
    assert all(len(line.split(" ")) == 20 for split in SPLITS for line in made[split])
    assert all(split_of(line.replace(" ", "")) == split for split in SPLITS for line in made[split])


def test_only_the_president_is_heard():
    transcript = """President: Barack Obama

UDIENCE MEMBER:  We love you!
THE PRESIDENT:  Well, you know I love you back.  (Applause.)
It is an honor.
AUDIENCE: Yes, we can!
And so it goes on.
Q    Mr. President, do you agree?
It is a long question.
THE PRESIDENT: No, I do not.
Quite simply: no.
VICE PRESIDENT BIDEN: Hear, hear!"""
    assert list(presidents(transcript.split("\n")))[2:] == [
        "Well, you know I love you back.  (Applause.)",
        "It is an honor.",
        "And so it goes on.",
        "No, I do not.",
        "Quite simply: no.",
    ]


def test_speeches_become_sentences_and_none_comes_twice(tmp_path):
    speech = "President: Barack Obama\n\nGood evening, everybody.  Thank you so much.  (Applause.)\n"
    made = make("obama", tmp_path, speech, "President: Barack Obama\n\nThank you so much. Let’s begin, “friends.”\n")
    lines = sorted(line for split in SPLITS for line in made["obama"][split])
    assert lines == ["good evening , everybody .", "let 's begin , friends .", "thank you so much ."]
    assert all(split_of(line) == split for split in SPLITS for line in made["obama"][split])


def test_tunes_become_two_corpora(tmp_path):
    pytest.importorskip("music21", reason="music21 is not installed (the extra called music)")
    tune = "X:{0}\nT:{0}\nM:4/4\nL:1/8\nK:{1}\nCDEFGABc|cBAGFEDC|CEGcGECE|DFAdAFDF|\n\n"
    seen = []
    files = []
    for name in ("b.abc", "a.abc"):
        files.append(tmp_path / "ABC_cleaned" / name)
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text(tune.format(1, "C") + tune.format(2, "G"), encoding="utf-8")
    made = RECIPES["nottingham"](files, lambda *what: seen.append(what))
    assert seen == [("reading tunes", 0, 2), ("reading tunes", 1, 2)]
    # All four are one family, and what b has is in a already.
    split = split_of("ABC_cleaned/a.abc#0:1")
    for corpus, first in (("nottingham", "40 42 44 45"), ("nottingham-phrases", "60:2 62:2 64:2 65:2")):
        assert {name: len(lines) for name, lines in made[corpus].items() if lines} == {split: 2}
        assert made[corpus][split][0].startswith(first)
