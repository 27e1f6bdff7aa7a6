import pytest

from bench.data.seed_files import expand
from bench.errors import UsageError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes empty files into the test's own working directory."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("")

    return make


def refusal(*names):
    with pytest.raises(UsageError) as caught:
        expand(names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_names_without_seeds_are_files():
    assert expand(["a.txt", "-"]) == {}


def test_seeds_are_found_in_order(write):
    write("a-0.txt", "a-10.txt", "a-9.txt", "a-x.txt", "a-.txt", "a-1.txt.bak", "xa-1.txt", "a--1.txt", "a-1.5.txt")
    assert expand(["a-{seed}.txt"]) == {"a-{seed}.txt": {0: "a-0.txt", 9: "a-9.txt", 10: "a-10.txt"}}


def test_seeds_may_be_in_folders_several_times_and_beside_special_characters(write):
    write("runs/0/[b]*-0.txt", "runs/1/[b]*-1.txt", "runs/0/[b]*-1.txt", "c0", "c1")
    name = "runs/{seed}/[b]*-{seed}.txt"
    assert expand([name, "c{seed}"]) == {
        name: {0: "runs/0/[b]*-0.txt", 1: "runs/1/[b]*-1.txt"},
        "c{seed}": {0: "c0", 1: "c1"},
    }


def test_mistakes(write):
    write("a-0", "a-1", "a-2", "b-0", "c-1", "c-01", "d")
    assert refusal("a-{seed}", "b-{seed}") == (
        "'b-{seed}' has no file of seed 1, 2, and 'a-{seed}' has: give the same seeds of all, since a run that is "
        "missing may be one that failed."
    )
    assert "expected {seed} in the names of all samples or of none, and 'd' has none" in refusal("a-{seed}", "d")
    assert "'c-{seed}' has two files of seed 1: 'c-01' and 'c-1'" in refusal("c-{seed}")
    assert "no file is called 'x-{seed}'" in refusal("x-{seed}")
    assert "given twice" in refusal("a-{seed}", "a-{seed}")
