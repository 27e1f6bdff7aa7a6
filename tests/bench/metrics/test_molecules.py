"""Molecules against RDKit called plainly, scipy and MOSES' definitions by hand; and how each column is gamed."""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

import bench
from bench.api import SequenceSpec
from bench.data import smiles
from bench.metrics import molecules
from bench.metrics.base import RealText, Subject
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.molecules import COLUMNS, KIND, Molecules, similarities, wasserstein
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score
from bench.metrics.text.tokenizers import encode
from bench.records.frames import FINAL, REAL_DATA
from bench.records.store import Store
from bench.reports import markdown
from bench.reports.pages.scores import page
from bench.tasks.vocabulary import WordVocabulary

CORPUS = Path(bench.__file__).parent / "corpora" / "smiles"
BROKEN = ("C(", "c1cccc1", "CN(C)(C)C", "C%", "[nHC", "C<unk>C", "O=C=O=C", "ccc", "")
"""Not closed, not aromatic, too many bonds, an open ring, an open bracket, unknown, and none at all."""


def lines(split, start, stop):
    return ["".join(line.split()) for line in (CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[start:stop]]


@pytest.fixture(scope="module")
def chem():
    pytest.importorskip("rdkit", reason="RDKit is not installed: pip install 'seqgan-bench[molecules]'")
    from rdkit import Chem

    return Chem


@pytest.fixture(scope="module")
def texts():
    """Samples with copies, repeats, other spellings and what is no molecule; test, train and valid sets."""
    train, valid, test = lines("train", 0, 120), lines("valid", 0, 20), lines("test", 0, 90)
    samples = [*lines("valid", 30, 70), train[3], train[3], valid[5], "OCC", "CCO", "C(C)O", *BROKEN]
    return samples, test, train, valid


def evidence(samples, test, train=None, valid=None, trained=False):
    split = [[smiles.tokens(text) for text in part or ()] for part in (samples, test, train, valid)]
    vocabulary = WordVocabulary.build([words for part in split for words in part], 1, ends=True, kind=KIND)
    size, longest = len(vocabulary.words), max(len(words) for part in split for words in part) + 1
    spec = SequenceSpec(size, longest, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind=KIND)
    made, real, known, more = (vocabulary.encode(part, longest) for part in split)
    about = (None if train is None else known, vocabulary.words, None, None if valid is None else more)
    return Evidence(None, made, HeldOut(spec, real, None, vocabulary.unk, "smiles", *about), trained=trained)


def scores(*arguments, **options):
    return {found.metric: found for found in evidence(*arguments, **options).ask(Molecules())}


def values(*arguments, **options):
    return {name: found.value for name, found in scores(*arguments, **options).items()}


def plain(chem, samples, test, known):
    """All columns by plain loops over RDKit's own functions, as MOSES defines them."""
    from rdkit import DataStructs, RDLogger
    from rdkit.Chem import Crippen, Descriptors, rdFingerprintGenerator

    RDLogger.DisableLog("rdApp.error")
    found = [chem.MolFromSmiles(text) if text else None for text in samples]
    RDLogger.EnableLog("rdApp.error")
    valid = [molecule for molecule in found if molecule is not None]
    canonical = [chem.MolToSmiles(molecule) for molecule in valid]
    given = {chem.CanonSmiles(text) for text in known}
    distinct = set(canonical)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    bits = [generator.GetFingerprint(molecule) for molecule in valid]
    alike = [DataStructs.TanimotoSimilarity(one, other) for one in bits for other in bits]
    real = [chem.MolFromSmiles(text) for text in test]
    return {
        "valid": len(valid) / len(samples),
        "unique": len(distinct) / len(canonical),
        "novel": 1 - len(distinct & given) / len(distinct),
        "valid_unique_novel": len(distinct - given) / len(samples),
        "internal_diversity": 1 - sum(alike) / len(valid) ** 2,
        "logp_distance": wasserstein_distance([Crippen.MolLogP(m) for m in valid], [Crippen.MolLogP(m) for m in real]),
        "weight_distance": wasserstein_distance(
            [Descriptors.MolWt(m) for m in valid], [Descriptors.MolWt(m) for m in real]
        ),
    }


def test_every_column_is_what_plain_loops_give(chem, texts):
    samples, test, train, valid = texts
    found = values(*texts)
    assert set(found) == set(COLUMNS)
    assert found == pytest.approx(plain(chem, samples, test, train + valid), rel=1e-6)
    assert all(value > 0 for value in found.values())
    assert found["valid"] == 46 / 55


def test_moses_definitions_by_hand(chem):
    """Ethanol in three spellings, benzene in two, one of them known; one sample is broken."""
    samples = ["CCO", "OCC", "C(O)C", "c1ccccc1", "C1=CC=CC=C1", "CC", "C("]
    found = values(samples, ["CCO", "CC"], ["C1=CC=CC=C1"])
    assert found["valid"] == 6 / 7
    assert found["unique"] == 3 / 6
    assert found["novel"] == 2 / 3
    assert found["valid_unique_novel"] == 2 / 7


def test_validation_molecules_are_not_new(chem):
    assert values(["CCO", "CCN"], ["CC"], ["CCC"], ["OCC"])["novel"] == 0.5
    assert values(["CCO", "CCN"], ["CC"], ["CCC"])["novel"] == 1.0


def test_unique_is_of_the_first_valid_ones(chem, monkeypatch):
    monkeypatch.setattr(molecules, "FIRST", 3)
    found = scores(["C(", "CC", "CCC", "C(", "CCO", "CC", "CC"], ["CC"], ["C"])["unique"]
    assert found.value == 1.0  # of the first three; of all five valid ones it is 3 / 5
    assert found.signature["first"] == "3"


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_molecule_is_not_valid_and_makes_no_noise(chem, broken, capfd):
    from rdkit import RDLogger

    found = values([broken, "CC"], ["CC"], ["CCC"])
    assert found["valid"] == 0.5
    assert capfd.readouterr().err == ""
    assert chem.MolFromSmiles("C(") is None  # RDKit logs as before
    RDLogger.logger()
    assert "SMILES Parse Error" in capfd.readouterr().err


def test_without_any_molecule_shares_are_zero_and_the_rest_is_absent(chem):
    found = scores(["C(", "(("], ["CC"], ["CCC"])
    assert [found[name].value for name in ("valid", "unique", "novel", "valid_unique_novel")] == [0] * 4
    assert {found[name].absent for name in ("internal_diversity", "logp_distance", "weight_distance")} == {
        "no sample is a molecule"
    }
    assert {scores(["CC"], ["C("], ["C"])[name].absent for name in ("logp_distance", "weight_distance")} == {
        "no test sequence is a molecule"
    }


def test_without_a_training_set_nothing_is_new_or_old(chem):
    found = scores(["CC"], ["CC"])
    assert {name for name, each in found.items() if each.absent} == {"novel", "valid_unique_novel"}
    assert found["novel"].absent == "novelty can be found only with the training set"


def test_the_row_of_real_data_compares_train_with_test_and_is_as_new_as_test(chem):
    """The floor of the distances, at the same n; training molecules themselves would all be known."""
    train, test = lines("train", 0, 120), [*lines("test", 0, 79), lines("train", 0, 1)[0]]
    found, plainly = scores(train[:80], test, train, trained=True), values(train[:80], test, train)
    assert found["novel"].value == 79 / 80
    assert found["valid_unique_novel"].value == 79 / 80
    assert (found["novel"].signature["real"], found["novel"].n) == ("references", 80)
    assert plainly["novel"] == 0
    for name in ("valid", "unique", "internal_diversity", "logp_distance", "weight_distance"):
        assert found[name].value == plainly[name]


# How each is gamed


@pytest.fixture(scope="module")
def played(chem):
    """Real molecules, one of them repeated, the training set, chains of random atoms, and short molecules."""
    train, test, real = lines("train", 0, 300), lines("test", 0, 300), lines("test", 300, 500)
    rng = np.random.default_rng(0)
    chains = ["".join(rng.choice([*"CNOS"], rng.integers(5, 25))) for _ in range(200)]
    short = [*("C", "CC", "CO", "N", "O", "CN", "S", "CS", "OO", "NN")] * 20
    games = {"real": real, "repeat": train[:1] * 200, "replay": train[:200], "chains": chains, "short": short}
    return {name: values(samples, test, train) for name, samples in games.items()}


def test_one_molecule_repeated_is_valid_and_wins_nothing_else(played):
    real, repeat = played["real"], played["repeat"]
    assert (repeat["valid"], repeat["unique"], repeat["internal_diversity"]) == (1, 1 / 200, 0)
    assert repeat["valid_unique_novel"] == 0
    for name in ("logp_distance", "weight_distance"):
        assert repeat[name] > 5 * real[name]


def test_the_training_set_has_everything_but_novelty(played):
    real, replay = played["real"], played["replay"]
    assert (replay["valid"], replay["unique"]) == (1, 1)
    assert replay["weight_distance"] < 3 * real["weight_distance"]
    assert (replay["novel"], replay["valid_unique_novel"]) == (0, 0)
    assert real["valid_unique_novel"] == 1


def test_chains_of_random_atoms_are_valid_and_new_and_diverse_and_far_away(played):
    real, chains = played["real"], played["chains"]
    assert chains["valid"] == chains["novel"] == 1
    assert chains["valid_unique_novel"] > 0.98
    assert chains["internal_diversity"] > real["internal_diversity"]
    for name in ("logp_distance", "weight_distance"):
        assert chains[name] > 20 * real[name]


def test_short_molecules_are_valid_and_new_and_far_away(played):
    short = played["short"]
    assert (short["valid"], short["novel"]) == (1, 1)
    assert short["valid_unique_novel"] == 0.05
    assert short["weight_distance"] > 200


# Its parts


def test_the_distance_is_scipys():
    rng = np.random.default_rng(1)
    for n, m in ((1, 1), (1, 7), (40, 25), (300, 500)):
        one, other = rng.normal(size=n).round(1), rng.gamma(2, size=m).round(1)
        assert wasserstein(one, other)[0] == pytest.approx(wasserstein_distance(one, other), abs=1e-12)
    assert wasserstein(other, other)[0] == 0


def test_pulls_are_the_limit_of_leaving_one_out():
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(size=4_000), rng.normal(0.7, 1.5, size=500)
    value, pulls = wasserstein(ours, theirs)
    assert pulls.mean() == pytest.approx(0, abs=1e-12)
    for row in range(20):
        without = wasserstein_distance(np.delete(ours, row), theirs)
        assert len(ours) * (value - without) == pytest.approx(pulls[row], abs=0.02)


def test_similarities_of_more_than_a_block(monkeypatch):
    monkeypatch.setattr(molecules, "ROWS", 7)
    bits = (np.random.default_rng(3).random((40, 64)) < 0.2).astype(np.float32)
    bits[5] = bits[9] = 0  # two without any bits
    wanted = np.zeros(40)
    for row, one in enumerate(bits.astype(bool)):
        for other in bits.astype(bool):
            either = (one | other).sum()
            wanted[row] += (one & other).sum() / either if either else 1
    assert similarities(bits) == pytest.approx(wanted, rel=1e-6)


def test_what_is_known_of_real_molecules_is_computed_once(chem, texts, monkeypatch):
    samples, test, train, valid = texts
    asked = evidence(*texts)
    read, calls, lines_read = molecules.read, Counter(), Counter()

    def counting(written):
        calls[len(written)] += 1
        lines_read.update(written)
        return read(written)

    monkeypatch.setattr(molecules, "read", counting)
    for seed in range(3):
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
        Evidence(None, asked.samples[order], asked.held_out).ask(Molecules())
    assert (calls[len(test)], calls[len(samples)]) == (1, 3)
    known = [lines_read[text] - 3 * samples.count(text) for text in train + valid]
    assert {known[3], known[len(train) + 5]} == {1}  # those that are copied
    assert set(known) == {0, 1}  # and few others: those of a sample's composition


def test_all_spellings_of_a_molecule_have_one_composition(chem):
    written = [
        *lines("train", 0, 40),
        "[Na+].[O-]c1ccccc1",
        "C[Se]C",
        "c1c[se]cc1",
        "[2H]C([H])O",
        "C1CC%10CC1C%10",
        "F[B-](F)(F)F",
    ]
    spellings = []
    for text in written:
        molecule = chem.MolFromSmiles(text)
        spellings.append([text, *(chem.MolToSmiles(molecule, doRandom=True) for _ in range(5))])
        chem.Kekulize(molecule, clearAromaticFlags=True)
        spellings[-1] += [chem.MolToSmiles(molecule, kekuleSmiles=True), chem.MolToSmiles(chem.AddHs(molecule))]
    spellings.append(["CC", "C1.C1", "C(C)", "[CH3]C"])
    symbols: list[str] = []
    names = [[smiles.tokens(text) for text in alike] for alike in spellings]
    found = [molecules.compositions(text, symbols) for text in encode([("x", each) for each in names], symbols)]
    assert {len(set(alike)) for alike in found} == {1}
    assert len({alike[0] for alike in found}) > 35


def test_signatures_say_what_a_comparable_score_must_share(chem, texts):
    import rdkit

    rdkit_version = f"rdkit={rdkit.__version__}"
    assert {name: str(found.signature) for name, found in scores(*texts).items()} == {
        "valid": f"n=55|{rdkit_version}|tok=smiles|v=1",
        "unique": f"first=55|n=55|{rdkit_version}|tok=smiles|v=1",
        "novel": f"n=55|train=140|{rdkit_version}|tok=smiles|v=1",
        "valid_unique_novel": f"n=55|train=140|{rdkit_version}|tok=smiles|v=1",
        "internal_diversity": f"first=55|fingerprint=morgan2:1024|n=55|{rdkit_version}|tok=smiles|v=1",
        "logp_distance": f"logp=crippen|n=55|test=90|{rdkit_version}|tok=smiles|v=1",
        "weight_distance": f"weight=average|n=55|test=90|{rdkit_version}|tok=smiles|v=1",
    }
    assert {name: (found.unit, found.direction) for name, found in scores(*texts).items()} == COLUMNS


def test_other_tasks_have_no_molecules():
    spec = SequenceSpec(5, 4, bos=5, eos=4, pad=4)
    rows = torch.tensor([[1, 2, 4, 4]])
    symbols = ("<unk>", "C", "O", "N", "<eos>")
    assert Evidence(None, rows, HeldOut(spec, rows, None, 0, "word", rows, symbols)).ask(Molecules()) == []


def test_without_rdkit_the_columns_say_so(texts, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)  # importing it fails
    found = scores(*texts)
    assert set(found) == set(COLUMNS)
    assert {each.value for each in found.values()} == {None}
    assert {each.absent for each in found.values()} == {
        "RDKit is not installed: python -m pip install 'seqgan-bench[molecules]'"
    }


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A user's own file of molecules, as a task."""
    monkeypatch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
    path = tmp_path / "mine.smi"
    path.write_text("\n".join(lines("train", 0, 300)) + "\n")
    return f"text:{path},level=smiles,max_len=60,min_count=1"


def run(bench, task, folder, metrics):
    asked = ("--models", "random", "--tasks", task, "--metrics", metrics, "--preset", "smoke", "--seeds", 1)
    return bench("run", *asked, "--workers", 0, "--temperatures", "none", "--output", folder)


def recorded(folder):
    records = Store(folder).records()
    return {record.spec.model: {score.metric: score for score in record.scores[FINAL]} for record in records}


def test_a_users_molecules_have_all_columns(chem, bench, task, tmp_path):
    assert run(bench, task, tmp_path / "results", "molecules").code == 0
    found = recorded(tmp_path / "results")
    assert set(found["random"]) >= set(COLUMNS)
    assert found["random"]["valid"].value < 0.2
    real = found[REAL_DATA]
    assert (real["valid"].value, real["unique"].value, real["novel"].value) == (1, 1, 1)
    assert real["weight_distance"].value < 30 < found["random"]["weight_distance"].value


def test_without_rdkit_a_run_is_whole_unless_molecules_are_asked_for(bench, task, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    assert run(bench, task, tmp_path / "results", "all").code == 0
    found = recorded(tmp_path / "results")["random"]
    assert all(found[name].absent.startswith("RDKit is not installed") for name in COLUMNS)
    assert found["nll_test"].value > 1
    (page,) = (path.read_text("utf-8") for path in (tmp_path / "results" / "leaderboard").iterdir())
    assert "RDKit is not installed: python -m pip install 'seqgan-bench[molecules]'" in page
    asked = run(bench, task, tmp_path / "other", "nll,molecules")  # refused before anything is trained
    assert asked.code == 2
    assert "metric 'molecules' cannot be computed: RDKit is not installed" in asked.err
    assert not (tmp_path / "other").exists()


# Files


@pytest.fixture(scope="module")
def report(chem, texts):
    samples, test, train, valid = texts
    spaced = [" ".join(smiles.tokens(text)) for text in samples]  # as bench sample writes them
    written = Text("samples", tuple(spaced[:30] + samples[30:]))
    return score([written], Text("test", tuple(test)), Text("train", tuple(train + valid)), "smiles", ["molecules"])


def test_a_file_has_the_scores_of_a_model(report, texts):
    samples, test, train, valid = texts
    model = scores(samples, test, train + valid)
    file = {each.metric: each for each in report.rows[0].scores}
    assert list(file) == list(COLUMNS)
    for name, each in file.items():
        assert each.value == pytest.approx(model[name].value, rel=1e-12)
        assert str(each.signature).replace("smiles:1", "smiles").replace("|unk=unwritten", "") == str(
            model[name].signature
        )
        assert each.low < each.value < each.high


def test_people_can_read_them(report):
    shown = markdown.render(page(report))
    assert re.search(r"logp_distance ↓ log10 +\| *\d\.\d{3}", shown)
    assert re.search(r"weight_distance ↓ g/mol +\| *\d+\.\d\d ", shown)


def test_real_text_stands_beside_it(report, texts):
    real = {each.metric: each for each in report.rows[-1].scores}
    assert real["valid"].value == 1
    assert real["novel"].value == 1
    assert real["novel"].signature["real"] == "references"
    assert real["weight_distance"].signature["real"] == "train"
    assert 0 < real["weight_distance"].value < report.rows[0].scores[-1].value


def test_contributions_are_what_leaving_one_out_costs(chem, texts):
    samples, test, train, _ = texts
    names = (
        [smiles.words(text.split()) for text in samples],
        [smiles.tokens(text) for text in test],
        [smiles.tokens(text) for text in train],
    )
    symbols: list[str] = []
    made, real, known = encode(zip(("a", "b", "c"), names, strict=True), symbols)
    against = RealText(real, known, symbols=tuple(symbols), kind=KIND)

    def found(rows, intervals):
        return {
            each.metric: each
            for each in Molecules().estimates(Subject.samples(made[rows], against, "smiles:1", intervals=intervals))
        }

    every = np.arange(len(samples))
    whole = found(every, True)
    assert {name: each.contributions.shape for name, each in whole.items()} == dict.fromkeys(COLUMNS, (len(samples),))
    for row in (0, 40, 42, 44, 50, 54):  # a molecule, a repeat, a copy, another spelling, and broken ones
        without = found(np.delete(every, row), False)
        for name in ("unique", "novel", "valid_unique_novel", "internal_diversity"):
            fall = len(samples) * (whole[name].value - without[name].value)
            assert whole[name].contributions[row] == pytest.approx(fall, abs=1e-4), (name, row)


def test_the_words_of_other_files_are_no_molecules(texts):
    samples, test, train, _ = (Text("x", tuple(filter(None, part))) for part in texts)
    report = score([samples], test, train, "char")
    assert not {each.metric for each in report.rows[0].scores} & set(COLUMNS)
