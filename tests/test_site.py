"""The site: links lead to pages that are on it, and pages that are made from the code say what the code says.

``tox -e docs`` builds it, with warnings as errors; here is what can be tested without mkdocs.
"""

import dataclasses
import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml

from bench.analysis.catalogue import CATALOGUE, COSTS, PEOPLE
from bench.plans.registry import available
from bench.plans.sets import members

ROOT = Path(__file__).parents[1]
NAMES = ("repository", "reference", "navigation")
KINDS = {"generators": "model", "tasks": "task", "metrics": "metric"}


@pytest.fixture(scope="module")
def site():
    """The modules in docs/site that need no mkdocs, by name."""
    sys.path.insert(0, str(ROOT / "docs" / "site"))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(ROOT / "docs" / "site"))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def pages(site):
    """The files of the repository that are on the site."""
    return site["repository"].pages()


@pytest.fixture(scope="module")
def made(site):
    """Pages that are made from the code."""
    return site["reference"].generated()


def test_every_page_of_docs_is_on_the_site_and_no_two_files_share_a_place(site, pages):
    assert {file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/**/*.md")} <= set(pages)
    places = [site["repository"].place(path) for path in pages]
    assert len(set(places)) == len(places)
    assert {"index.md", "generators.md", "use.md", "repository/results/leaderboard.md"} <= set(places)
    assert "repository/LICENSE.txt" in places


def test_every_link_leads_to_a_file_that_is_on_the_site(site, pages):
    lost = []
    for path in pages:
        if path.endswith(".md"):
            for target in site["repository"].links((ROOT / path).read_text(encoding="utf-8")):
                found = site["repository"].resolved(target, path)
                if found and found[0] not in pages:
                    lost.append((path, target))
    assert lost == []
    assert len(pages) > 100


@pytest.mark.parametrize(
    ("source", "text", "wanted"),
    [
        ("docs/use.md", "[a](README.md#ends)", "[a](generators.md#ends)"),
        ("docs/use.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/tasks/x.md", "[a](../mle.md)", "[a](../mle.md)"),
        ("docs/tasks/x.md", "[a](../../LICENSE)", "[a](../repository/LICENSE.txt)"),
        ("README.md", "[a](docs/use.md) ![b](results/x.png)", "[a](use.md) ![b](repository/results/x.png)"),
        ("results/a/leaderboard.md", "![b](figures/x.png)", "![b](figures/x.png)"),
        ("docs/use.md", "[a](#here) [b](https://x.org/README.md)", "[a](#here) [b](https://x.org/README.md)"),
        ("docs/use.md", "`[a](README.md)`\n```\n[a](README.md)\n```\n", "`[a](README.md)`\n```\n[a](README.md)\n```\n"),
    ],
)  # fmt: skip
def test_links_are_those_of_the_site(site, source, text, wanted):
    assert site["repository"].rewritten(text, source, lambda _: True) == wanted


def test_a_link_to_what_is_not_on_the_site_is_left_for_the_build_to_find(site):
    text = "[a](../bench/api.py)"
    assert site["repository"].rewritten(text, "docs/use.md", lambda _: False) == text


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_is_registered_has_a_page(site, made, kind):
    found = available(KINDS[kind])
    registered = {name: found[name] for name in found if found[name].distribution == "seqgan-bench"}
    assert {plugin.name: plugin.target for plugin in site["reference"].plugins()[kind]} == {
        name: plugin.target for name, plugin in registered.items()
    }
    for name, plugin in registered.items():
        page = made[f"reference/{kind}/{name}.md"]
        assert page.startswith(f"# {name}\n\n`{plugin.target}`\n\n::: {plugin.target.replace(':', '.')}\n")
        assert f"[{name}]({name}.md)" in made[f"reference/{kind}/index.md"]


@pytest.mark.parametrize("kind", ["generators", "tasks"])
def test_pages_have_the_fields_of_the_class(made, kind):
    for name, plugin in available(KINDS[kind]).items():
        shown = re.findall(r"^\| `(\w+)`", made[f"reference/{kind}/{name}.md"], re.MULTILINE)
        assert shown == [field.name for field in dataclasses.fields(plugin.load()) if field.init], name


def test_a_generator_s_page_says_its_role_and_links_to_what_is_told_of_it(made, site, pages):
    in_all = {plugin.name for plugin in members("all")}
    for name, plugin in available("model").items():
        page = made[f"reference/generators/{name}.md"]
        assert f"A {plugin.role}" in page
        assert ("`all`" in page.partition("Detail by detail")[0]) == (name in in_all), name
        target = re.search(r"Detail by detail: \[[^]]+\]\(\.\./\.\./([^)#]+)", page).group(1)
        assert f"docs/{target}" in pages


def test_every_column_is_on_the_page_of_one_metric(site):
    found = {}
    for plugin in site["reference"].plugins()["metrics"]:
        columns = site["reference"].columns(plugin)
        assert columns, plugin.name
        for column in columns:
            found.setdefault(column.metric, []).append((plugin.name, column.unit, column.direction))
    expected = {row.metric for row in CATALOGUE if row.theme not in ("", COSTS, PEOPLE) and "lstm" not in row.metric}
    assert {metric for metric, pages in found.items() if len(pages) == 1} == expected
    for metric, wanted in {
        "nll_test": ("nll", "nats/token", "lower"),
        "bleu4": ("bleu", "", "higher"),
        "copy_longest": ("copy", "words", "lower"),
        "mse": ("music", "semitones²", "real"),
        "jsd_token": ("divergence", "nats/token", "lower"),
        "listed_new": ("listed", "", "higher"),
    }.items():
        assert found[metric] == [wanted]


def test_docstrings_become_markdown(site):
    plain = site["reference"].plain
    assert plain('See :class:`bench.x.Y` and ``<unk>``; "the <unk>".') == 'See `Y` and ``<unk>``; "the &lt;unk>".'
    assert plain("Example:\n    >>> a <b") == "Examples:\n    >>> a <b"


def test_the_navigation_takes_pages_that_nobody_listed(site, pages, made):
    navigation = site["navigation"].navigation
    there = {site["repository"].place(path) for path in pages} | set(made)
    there = {uri for uri in there if uri.endswith(".md")}

    def flat(part):
        return (
            [part]
            if isinstance(part, str)
            else [leaf for each in (part.values() if isinstance(part, dict) else part) for leaf in flat(each)]
        )

    assert {uri for uri in there if not uri.startswith("repository/")} <= set(flat(navigation(there)))
    assert set(flat(navigation(there))) <= there
    new = {"brand-new.md", "tasks/brand-new.md", "deep/er/page.md"}
    assert new <= set(flat(navigation(there | new)))
    without = there - {"tutorial.md", "tuning.md"}
    assert set(flat(navigation(without))) <= without


def test_the_site_takes_nothing_from_elsewhere_and_warnings_are_errors():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert config["theme"]["font"] is False
    assert config["strict"] is True
    assert {each if isinstance(each, str) else next(iter(each)) for each in config["plugins"]} == {
        "search",
        "mkdocstrings",
    }
    assert "extra_javascript" not in config
    checks = {**config["validation"]["links"], **config["validation"]["nav"]}
    assert {name for name, level in checks.items() if level != "warn"} <= {"omitted_files"}
