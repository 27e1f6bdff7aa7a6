"""What the site adds to mkdocs: pages from the repository and from the code, their links, the navigation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import reference
import repository
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

HOW_TO = ("use", "files", "samples", "score", "python", "tuning", "report", "rate", "ci", "cluster")
FOUND = ("study", "arms", "known-reward", "augmented", "gpu", "performance", "scaling")
WHY = ("statistics", "density", "reliability")
"""Pages of ``docs/`` by section, in order; those that are not there are left out, and unlisted ones stand last."""

_SOURCES: dict[str, str] = {}
"""Source of a page on the site to its path in the repository."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Headings get the anchors that they have in the repository's own pages."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what mkdocs found in ``docs/`` by all that is on the site."""
    for file in list(files):
        if file.src_uri.endswith(".md"):
            files.remove(file)
    _SOURCES.clear()
    _SOURCES.update({repository.place(path): path for path in repository.pages()})
    for uri, path in _SOURCES.items():
        if not (path.startswith("docs/") and files.get_file_from_path(uri)):
            files.append(File.generated(config, uri, abs_src_path=str(repository.ROOT / path)))
    for uri, text in reference.generated().items():
        files.append(File.generated(config, uri, content=text))
    config.nav = navigation({uri for uri in files.src_uris if uri.endswith(".md")})
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where the pages are on the site; tables of results are not searched."""
    path = _SOURCES.get(page.file.src_uri)
    if path is None:
        return markdown
    if path.startswith("results/"):
        page.meta["search"] = {"exclude": True}
    return repository.rewritten(markdown, path, lambda target: repository.place(target) in _SOURCES)


def navigation(there: set[str]) -> list[Any]:
    """The navigation of a site with these pages; every page of ``docs/`` is in it, also one that nobody listed."""
    names = {kind: [plugin.name for plugin in found] for kind, found in reference.plugins().items()}
    top = {Path(uri).stem: uri for uri in sorted(there) if "/" not in uri}
    taken = {"index", "generators", "tutorial", "settings", *HOW_TO, *FOUND, *WHY}
    index = list(repository.links((repository.ROOT / repository.INDEX).read_text(encoding="utf-8")))
    in_index = [Path(target.partition("#")[0]).stem for target in index if ".md" in target]
    told = [name for name in dict.fromkeys(in_index) if name in top and name not in taken]
    more = [name for name in top if name not in taken and name not in told]

    def listed(kind: str) -> list[Any]:
        return [f"reference/{kind}/index.md", *({name: f"reference/{kind}/{name}.md"} for name in names[kind])]

    def those(stems: Iterable[str]) -> list[str]:
        return [top[stem] for stem in stems if stem in top]

    def below(folder: str) -> list[str]:
        return sorted(uri for uri in there if uri.startswith(folder))

    others = [uri for uri in below("") if "/" in uri and not uri.startswith(("reference/", "repository/", "tasks/"))]
    sections: list[tuple[str, list[Any]]] = [
        ("How to", those(HOW_TO)),
        ("Generators", ["generators.md", *those(told)]),
        ("Tasks", [*listed("tasks"), *([{"In detail": below("tasks/")}] if below("tasks/") else [])]),
        ("Metrics", listed("metrics")),
        ("Findings", [*those(FOUND), {"Tables": below("repository/results/")}]),
        ("Why believe it", those(WHY)),
        (
            "Reference",
            [
                "reference/index.md",
                *those(["settings"]),
                *(f"reference/{name}.md" for name in reference.MODULES),
                {"Generators": listed("generators")},
            ],
        ),
        ("More", [*those(more), *others]),
        ("Project", ["repository/CONTRIBUTING.md", "repository/CHANGELOG.md"]),
    ]
    return [{"Home": "index.md"}, *those(["tutorial"]), *({title: pages} for title, pages in sections if pages)]
