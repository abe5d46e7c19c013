"""The catalogue page: HTML made on the server, its search a form, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog, Column, Feature, ServiceEntry, ViewEntry
from serving.api.listing import Online
from serving.api.style import STYLE

_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))


def render(
    catalog: Catalog,
    online: Mapping[str, Online],
    query: str,
    access: Mapping[str, ViewAccess],
) -> str:
    """The page with the views and services in which every word of the query occurs.

    Args:
        access: of each view by name.
    """
    words = query.lower().split()
    views = [v for v in catalog.views.values() if _matches(_view_text(v), words)]
    services = [s for s in catalog.services.values() if _matches(_service_text(s), words)]
    counts = f"{_count(len(views), 'view')}, {_count(len(services), 'service')}"
    nothing = "" if views or services else '<p class="none">Nothing matches.</p>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(catalog.project)} features</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(catalog.project)} <span>features</span></h1>
<form method="get" action="/" role="search">
<input type="search" name="q" value="{escape(query)}" placeholder="feature, owner, type or words"
 aria-label="Search" autofocus>
<button>Search</button>
</form>
<p class="counts">{counts}</p>
</header>
<main>
{nothing}
{"".join(_view(view, online[view.name], access.get(view.name)) for view in views)}
{_services(services)}
</main>
<footer><a href="/features">JSON</a> <a href="/metrics">Metrics</a> <a href="/health">Health</a></footer>
</body>
</html>
"""


def duration(us: int) -> str:
    """A length of time in microseconds, in its two greatest units: ``2 d 3 h``."""
    parts: list[str] = []
    sign, rest = ("-" if us < 0 else ""), abs(us)
    for unit, size in _UNITS:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    return sign + " ".join(parts) if parts else "0 s"


def _view(view: ViewEntry, online: Online, access: ViewAccess | None) -> str:
    facts = [
        ("keys", ", ".join(_column(c) for c in view.entities)),
        ("request values", ", ".join(_column(c) for c in view.requests)),
        ("owner", escape(view.owner)),
        ("access", "" if access is None else escape(_access(access))),
        ("event time", f"<code>{escape(view.event_time)}</code>" if view.event_time else ""),
        ("ttl", "" if view.ttl_us is None else duration(view.ttl_us)),
        ("freshness", "" if view.freshness_us is None else duration(view.freshness_us)),
        ("age", "" if online.age_us is None else duration(online.age_us)),
        ("rows", "" if online.rows is None else f"{online.rows:,}"),
        ("file", f"<code>{escape(view.file)}</code>" if view.file else ""),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts if text)
    rows = "".join(_feature(feature) for feature in view.features)
    return f"""<section id="view-{escape(view.name)}">
<h2>{escape(view.name)} <span class="status {online.status}">{online.status}</span></h2>
<p>{escape(view.description)}</p>
<dl>{shown}</dl>
<table><thead><tr><th>feature</th><th>type</th><th>description</th></tr></thead>
<tbody>{rows}</tbody></table>
</section>
"""


def _access(access: ViewAccess) -> str:
    if not access.group:
        return access.access
    return f"{access.access}, group {access.group}" + (f" ({access.owner})" if access.owner else "")


def _feature(feature: Feature) -> str:
    mark = ' <span class="mark">computed when read</span>' if feature.expression else ""
    return (
        f"<tr><td><code>{escape(feature.name)}</code></td>"
        f"<td><code>{escape(feature.type)}</code></td>"
        f"<td>{escape(feature.description)}{mark}</td></tr>"
    )


def _services(services: list[ServiceEntry]) -> str:
    if not services:
        return ""
    return "<h2>Services</h2>" + "".join(_service(service) for service in services)


def _service(service: ServiceEntry) -> str:
    items = "".join(
        f'<li><a href="#view-{escape(view)}"><code>{escape(view)}:{escape(feature)}</code></a></li>'
        for view, feature in service.features
    )
    owner = f" <small>{escape(service.owner)}</small>" if service.owner else ""
    return f"""<section>
<h3>{escape(service.name)}{owner}</h3>
<p>{escape(service.description)}</p>
<ul>{items}</ul>
</section>
"""


def _column(column: Column) -> str:
    return f"<code>{escape(column.name)}</code> {escape(column.type)}"


def _matches(text: str, words: list[str]) -> bool:
    lowered = text.lower()
    return all(word in lowered for word in words)


def _view_text(view: ViewEntry) -> str:
    parts = [view.name, view.owner, view.description, view.file]
    parts += [f"{c.name} {c.type}" for c in (*view.entities, *view.requests)]
    parts += [f"{view.name}:{f.name} {f.type} {f.description}" for f in view.features]
    return "\n".join(parts)


def _service_text(service: ServiceEntry) -> str:
    features = [f"{view}:{feature}" for view, feature in service.features]
    return "\n".join([service.name, service.owner, service.description, *features])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
