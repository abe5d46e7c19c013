"""What is read from git's files is what git says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lineage.events.read_git import source_code_location


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "gc.auto=0")
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "dbt").mkdir(parents=True)
    (root / "dbt" / "a.sql").write_text("select 1")
    git(root, "init", "-q", "-b", "main")
    git(root, "remote", "add", "upstream", "https://example.com/other.git")
    git(root, "remote", "add", "origin", "https://bob:hunter2@example.com/acme/shop.git")
    git(root, "add", ".")
    git(root, "commit", "-qm", "a")
    return root


def test_the_commit_branch_and_folder(repository: Path) -> None:
    found = source_code_location(repository / "dbt")
    assert found == {
        "type": "git",
        "url": "https://example.com/acme/shop.git",
        "repoUrl": "https://example.com/acme/shop.git",
        "path": "dbt",
        "branch": "main",
        "version": git(repository, "rev-parse", "HEAD"),
    }


def test_packed_refs_and_branches_with_a_slash(repository: Path) -> None:
    git(repository, "checkout", "-qb", "feature/x")
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "feature" / "x").exists()
    found = source_code_location(repository)
    assert found is not None and "path" not in found
    assert found["branch"] == git(repository, "branch", "--show-current")
    assert found["version"] == git(repository, "rev-parse", "HEAD")


def test_a_worktree_and_a_detached_head(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    found = source_code_location(tmp_path / "other" / "dbt")
    assert found is not None and "branch" not in found
    assert found["version"] == git(tmp_path / "other", "rev-parse", "HEAD")
    assert found["url"] == "https://example.com/acme/shop.git"


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@example.com:acme/shop.git", "ssh://example.com/acme/shop.git"),
        ("ssh://git@example.com/acme/shop.git", "ssh://example.com/acme/shop.git"),
        ("/srv/git/shop.git", "file:///srv/git/shop.git"),
    ],
)
def test_remotes(repository: Path, remote: str, url: str) -> None:
    git(repository, "remote", "set-url", "origin", remote)
    found = source_code_location(repository)
    assert found is not None and found["url"] == url


def test_nothing_outside_git_or_without_a_remote(tmp_path: Path, repository: Path) -> None:
    assert source_code_location(tmp_path) is None
    git(repository, "remote", "remove", "origin")
    git(repository, "remote", "remove", "upstream")
    assert source_code_location(repository) is None
