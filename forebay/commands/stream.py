"""forebay stream."""

from __future__ import annotations

import click

from forebay.dbt_project.project import find_project
from forebay.options import json_option, now_option, target_option
from forebay.terminal import emit_json


@click.command(epilog="Example: forebay stream shop.clicks --every 1 --metrics-port 9464")
@click.argument("sources", nargs=-1)
@click.option(
    "--every",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.05, 3600),
    help="Seconds between commits of events.",
)
@click.option("--once", is_flag=True, help="Commit one batch, then end.")
@click.option("--until-caught-up", is_flag=True, help="End once the topics are read to their ends.")
@click.option(
    "--reset",
    metavar="WHERE",
    help="Go on from there: earliest, latest, or offsets such as 0:120,1:98 (of one SOURCE).",
)
@click.option("--events-only", is_flag=True, help="Commit events and leave the views alone.")
@click.option(
    "--checkpoint",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, 86400),
    help="Seconds between commits of feature tables; the online store is written at once.",
)
@click.option(
    "--engine",
    default="duckdb",
    show_default=True,
    type=click.Choice(["duckdb", "spark"]),
    help="What reads the topics and steps the views.",
)
@now_option
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1e6),
    help="How many times as fast as ours the clock runs.",
)
@click.option(
    "--upkeep",
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    type=click.FloatRange(0, 10080),
    help="Minutes between runs of `forebay maintain` on the tables, beside the stream; 0 for none.",
)
@click.option("--dry-run", is_flag=True, help="Read what there is, say what it is, write nothing.")
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535), help="Serve Prometheus metrics on this port."
)
@target_option
@json_option
def stream_command(
    sources: tuple[str, ...],
    every: float,
    once: bool,
    until_caught_up: bool,
    reset: str | None,
    dry_run: bool,
    events_only: bool,
    checkpoint: float,
    engine: str,
    now: str | None,
    speed: float,
    upkeep: float,
    metrics_port: int | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Commit events of Kafka topics to the tables of SOURCES, or of all that name a topic, step the
    views that read them, and write the online store.

    Each event is committed once, whatever is killed, restarted or rewound. Several processes share
    the topics' partitions. SIGTERM and ctrl-C commit what was read, then end.
    """
    from forebay.streaming.stream import StreamRequest, run_stream

    project = find_project(target=target)
    if reset is not None and len(sources) != 1:
        raise click.UsageError("--reset goes with one SOURCE")
    if dry_run and (reset is not None or once):
        raise click.UsageError("--dry-run takes neither --reset nor --once")
    request = StreamRequest(
        sources,
        every,
        once,
        until_caught_up,
        reset,
        dry_run,
        metrics_port,
        as_json,
        events_only,
        checkpoint,
        now,
        speed,
        upkeep,
    )
    if engine == "spark":
        from forebay.streaming.stream_on_spark import stream_on_spark

        if dry_run:
            raise click.UsageError("--dry-run reads topics without --engine")
        report = stream_on_spark(project, request)
    else:
        report = run_stream(project, request)
    if as_json:
        emit_json(report)
