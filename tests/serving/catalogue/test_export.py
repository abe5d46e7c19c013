"""The catalogue as files: every link leads to one, nothing of the moment is in them, all or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from feature_specs.errors import ForebayError
from serving.catalogue.export import MARK, export_site
from serving.catalogue.live import Examples, Live
from tests.serving.catalogue.conftest import Links, Shown


def export(shown: Shown, out: Path, *, dry_run: bool = False) -> int:
    examples = Examples(("delay",), (("AA",),), (("12345.5",),))
    live = Live(examples=examples, folder=shown.folder)
    return export_site(
        shown.project.catalog, shown.facts, out, live, lambda *_: None, dry_run=dry_run
    )


def test_every_link_is_a_file(shown: Shown, tmp_path: Path) -> None:
    out = tmp_path / "site"
    count = export(shown, out)
    pages = sorted(out.rglob("*.html"))
    assert len(pages) == count - 1  # and the script of features
    for page in pages:
        links = Links(page.read_text())
        assert links.urls
        for url in links.urls:
            parts = urlsplit(url)
            if not parts.scheme and parts.path:
                assert not parts.path.startswith("/"), url
                target = (page.parent / unquote(parts.path)).resolve()
                assert target.is_file() and target.is_relative_to(out), (page, url)


def test_nothing_of_the_moment_is_written(shown: Shown, tmp_path: Path) -> None:
    out = tmp_path / "site"
    export(shown, out)
    text = "".join(p.read_text().partition("<template")[0] for p in out.rglob("*.html"))
    assert "12345.5" not in text and 'class="status' not in text
    assert "promised: 6 h at most" in text


def test_the_same_project_gives_the_same_files(shown: Shown, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    export(shown, first)
    export(shown, second)
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_an_earlier_export_is_replaced_as_a_whole(shown: Shown, tmp_path: Path) -> None:
    out = tmp_path / "site"
    export(shown, out)
    assert (out / "feature" / "delays" / "delay.html").exists() and (out / MARK).exists()
    views = {"routes": shown.project.catalog.views["routes"]}
    shown.project.catalog = replace(shown.project.catalog, views=views, services={})
    export(shown, out)
    assert not (out / "feature" / "delays").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_folder_of_somebody_else_is_left_as_it_is(shown: Shown, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("all of it")
    with pytest.raises(ForebayError, match="not empty"):
        export(shown, out)
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(ForebayError, match="a file"):
        export(shown, out / "thesis.txt")
    assert export(shown, tmp_path / "new", dry_run=True) > 10
    assert not (tmp_path / "new").exists()


def test_an_export_that_fails_leaves_the_earlier_one(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    export(shown, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}

    def fail(path: str, live: Live) -> str:
        raise OSError("no room")

    monkeypatch.setattr("serving.catalogue.site.Site.page", lambda *_: fail("", Live()))
    with pytest.raises(OSError, match="no room"):
        export(shown, out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
