"""The Fréchet ChemNet distance against the package's own function; skipped where ChemNet is not installed."""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

import bench
from bench.api import SequenceSpec
from bench.data import smiles
from bench.metrics import fcd as ours
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.fcd import FCD, frechet, moments
from bench.metrics.molecules import KIND
from bench.plans import registry
from bench.tasks.vocabulary import WordVocabulary

CORPUS = Path(bench.__file__).parent / "corpora" / "smiles"
SKIPPED = "ChemNet is not installed, so that the FCD is not tested: python -m pip install 'seqgan-bench[fcd]'"


def lines(split, start, stop):
    return ["".join(line.split()) for line in (CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[start:stop]]


@pytest.fixture(scope="module")
def package():
    pytest.importorskip("rdkit", reason=SKIPPED)
    return pytest.importorskip("fcd", reason=SKIPPED)


def evidence(samples, test, train=None):
    split = [[smiles.tokens(text) for text in part or ()] for part in (samples, test, train)]
    vocabulary = WordVocabulary.build([words for part in split for words in part], 1, ends=True, kind=KIND)
    size, longest = len(vocabulary.words), max(len(words) for part in split for words in part) + 1
    spec = SequenceSpec(size, longest, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind=KIND)
    made, real, known = (vocabulary.encode(part, longest) for part in split)
    train = None if train is None else known
    return Evidence(None, made, HeldOut(spec, real, None, vocabulary.unk, "smiles", train, vocabulary.words))


def scores(*arguments):
    return {found.metric: found for found in evidence(*arguments).ask(FCD())}


def theirs(package, samples, test):
    """The package's own distance; its activations are collected by a function that numpy calls deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ours.network()
        made, real = (package.get_predictions(model, part, n_jobs=0, device="cpu") for part in (samples, test))
        return package.calculate_frechet_distance(made.mean(0), np.cov(made.T), real.mean(0), np.cov(real.T))


def test_it_is_the_packages_own(package):
    samples, test, train = lines("valid", 0, 60), lines("test", 0, 80), lines("train", 0, 90)
    found = scores([*samples, "C(", "C<unk>"], test, train)
    # Fewer molecules than dimensions: the covariances are singular, and the package adds a small number to them.
    assert found["fcd"].value == pytest.approx(theirs(package, samples, test), rel=0.02)
    floor = scores(train[:60], test, train)
    assert floor["fcd"].value == floor["fcd_floor"].value == found["fcd_floor"].value  # of as many training molecules
    assert found["fcd"].value == pytest.approx(found["fcd_floor"].value, rel=0.3)


def test_activations_are_the_packages_own(package):
    written = lines("train", 0, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = package.get_predictions(ours.network(), written, n_jobs=0, device="cpu")
    assert ours.activations(written) == pytest.approx(wanted, abs=1e-5)
    assert ours.activations([]).shape == (0, 512)
    assert ours.activations(["C" * 350]).shape == (0, 512)  # ChemNet reads 349 characters


def test_other_spellings_are_the_same_molecule(package):
    test = lines("test", 0, 30)
    found = [scores([text] * 3 + ["CCC"], test)["fcd"].value for text in ("OCC", "C(O)C", "CCO")]
    assert found[0] == found[1] == found[2]


def test_one_molecule_repeated_is_far_away(package):
    found = scores(lines("train", 0, 1) * 60, lines("test", 0, 80), lines("train", 0, 60))
    assert found["fcd"].value > 3 * found["fcd_floor"].value


def test_signatures_and_what_is_absent(package):
    import rdkit

    by = f"fcd={version('fcd')}|rdkit={rdkit.__version__}"
    test = lines("test", 0, 5)
    found = scores(lines("valid", 0, 4), test, lines("train", 0, 3))
    assert str(found["fcd"].signature) == f"first=4|n=4|test=5|{by}|tok=smiles|v=1"
    assert found["fcd_floor"].absent == "the training set has fewer molecules"
    assert scores(lines("valid", 0, 4), test)["fcd_floor"].absent == "there is no training set"
    assert {each.absent for each in scores(["C(", "CC"], test, test).values()} == {
        "it takes two samples that are molecules"
    }


def test_the_distance_of_normal_distributions_is_that_of_the_matrix_root():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(200, 6)), rng.normal(1, 2, size=(150, 6)) @ rng.normal(size=(6, 6))
    first, second = moments(one), moments(other)
    apart = first.mean - second.mean
    root = sqrtm(first.covariance @ second.covariance).real
    wanted = apart @ apart + np.trace(first.covariance + second.covariance - 2 * root)
    assert frechet(first, second) == pytest.approx(wanted, rel=1e-9)
    assert frechet(second, first) == pytest.approx(wanted, rel=1e-9)
    assert frechet(first, first) == pytest.approx(0, abs=1e-9)
    assert moments(one[:1]) is None


def test_it_is_left_out_unless_it_is_named():
    assert "fcd" in registry.available("metric")
    assert "fcd" in registry.marked("bench.heavy", "metric")
    assert "fcd" not in registry.marked("bench.heavy")


def test_other_tasks_have_no_distance():
    rows = torch.tensor([[1, 2, 4, 4]])
    spec = SequenceSpec(5, 4, bos=5, eos=4, pad=4)
    assert Evidence(None, rows, HeldOut(spec, rows, None, 0, "word", rows, ("<unk>", *"CON", "<eos>"))).ask(FCD()) == []


@pytest.mark.parametrize(("missing", "wanted"), [("rdkit", "RDKit is not installed"), ("fcd", "which has ChemNet")])
def test_what_is_not_installed_is_named(missing, wanted, monkeypatch):
    if missing == "fcd":
        pytest.importorskip("rdkit")
    monkeypatch.setitem(sys.modules, missing, None)  # importing it fails
    found = scores(lines("valid", 0, 4), lines("test", 0, 4))
    assert {each.value for each in found.values()} == {None}
    assert all(wanted in each.absent and "seqgan-bench[fcd]" in each.absent for each in found.values())
