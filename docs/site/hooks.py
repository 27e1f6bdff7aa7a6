"""What the site adds to mkdocs: pages from the repository and from the code, their links, the navigation."""

from __future__ import annotations

import reference
import repository
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from navigation import navigation
from pymdownx.slugs import slugify

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
