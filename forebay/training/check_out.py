"""The file that a training set is to be written to."""

from __future__ import annotations

from pathlib import Path

from feature_specs.errors import ForebayError

_OTHER_FORMATS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".gz", ".zst")


def check_out(out: Path, spine: Path | None, where: str) -> None:
    """Refuse a file that would replace the set's own spine, or says another format.

    Args:
        spine: the spine's file, where it is one.
        where: what names the file, for errors.

    Raises:
        ForebayError: it would.
    """
    if spine is not None and out.resolve() == spine.resolve():
        raise ForebayError(
            "the training set would replace its own spine",
            where=str(out),
            hint="name another file" + (f" with {where}" if where.startswith("--") else ""),
        )
    if out.suffix.lower() in _OTHER_FORMATS:
        raise ForebayError(
            f"training sets are Parquet files, and {out.name!r} ends in {out.suffix}",
            where=where,
            hint=f"name it {out.with_suffix('.parquet').name}",
        )
