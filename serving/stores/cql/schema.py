"""The two tables of a CQL store, and every statement that is sent to them."""

from __future__ import annotations

from functools import lru_cache

#: One partition an entity, with the rows of all views of its key columns.
ROWS = "forebay_rows"
#: One partition, with what is committed of each view. The row of a dropped view stays, for its
#: versions must go on growing: one that began anew would lose against what is removed.
VIEWS = "forebay_views"

#: The partition of VIEWS, and the number of this layout: another layout takes another.
LAYOUT = 1

# Leveled: rows are overwritten in place and read one partition at a time, so that each read should
# find the partition in one or two files. gc_grace_seconds is the ten days that both servers default
# to: repair within them, or a deletion that a node missed comes back.
CREATE = (
    f"""
    create table if not exists {ROWS} (
        entities text, key blob, feature_view text, slot tinyint, mark bigint, row blob,
        primary key ((entities, key), feature_view, slot)
    ) with compaction = {{'class': 'LeveledCompactionStrategy'}} and gc_grace_seconds = 864000
    """,
    f"""
    create table if not exists {VIEWS} (
        layout int, feature_view text, entities frozen<list<text>>,
        allocated bigint, committed bigint, base bigint, colour tinyint, aborted frozen<list<frozen<tuple<bigint, bigint>>>>, state blob,
        primary key (layout, feature_view)
    )
    """,
)

READ_ENTITY = f"select feature_view, slot, mark, row from {ROWS} where entities = ? and key = ?"
READ_ROW = f"{READ_ENTITY} and feature_view = ?"
READ_SLOTS = f"select slot, mark from {ROWS} where entities = ? and key = ? and feature_view = ?"
SCAN = (
    f"select entities, key, feature_view, slot, mark, row from {ROWS} "
    "where token(entities, key) >= ? and token(entities, key) <= ? and feature_view = ? allow filtering"
)
SCAN_SLOTS = SCAN.replace(", row from", " from")
PUT = (
    f"insert into {ROWS} (entities, key, feature_view, slot, mark, row) values (?, ?, ?, ?, ?, ?) "
    "using timestamp ?"
)
REMOVE = f"delete from {ROWS} using timestamp ? where entities = ? and key = ? and feature_view = ?"

_VERSIONS = "state, allocated, committed, base, colour, aborted"
READ_VIEWS = f"select feature_view, entities, {_VERSIONS} from {VIEWS} where layout = {LAYOUT}"
READ_VIEW = f"{READ_VIEWS} and feature_view = ?"
FIRST_VERSION = f"insert into {VIEWS} (layout, feature_view, entities, allocated) values ({LAYOUT}, ?, ?, 1) if not exists"
NEXT_VERSION = f"update {VIEWS} set allocated = ? where layout = {LAYOUT} and feature_view = ? if allocated = ?"
COMMIT = (
    f"update {VIEWS} set state = ?, committed = ?, base = ?, colour = ?, aborted = ?, entities = ? "
    f"where layout = {LAYOUT} and feature_view = ? if allocated = ?"
)

#: A write's timestamp is its version and, below it, the number of its chunk: see `timestamp`.
_CHUNK_BITS = 20
LAST_CHUNK = 2**_CHUNK_BITS - 1


def timestamp(version: int, chunk: int) -> int:
    """The timestamp of a chunk of a write: greater than that of every chunk and write before.

    The server keeps the greater one whatever the order of arrival. Never two writes of a row have
    one timestamp, for then the server would keep the greater value, not the later.
    """
    if not 0 <= chunk <= LAST_CHUNK:
        raise ValueError(f"a write has at most {LAST_CHUNK + 1} chunks")
    return (version << _CHUNK_BITS) + chunk


@lru_cache(maxsize=1024)
def group_name(entities: tuple[str, ...]) -> str:
    """Key columns as the text that partitions hold of them, one to one."""
    return ",".join(name.replace("\\", "\\\\").replace(",", "\\,") for name in entities)
