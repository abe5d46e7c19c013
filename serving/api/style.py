"""The catalogue page's style sheet, which stands in the page."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dfe7; --ground: #f6f8fa;
  --card: #fff; --water: #0b6e8f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #9aa6b5; --line: #2f3945;
  --ground: #12171d; --card: #1a2129; --water: #5fc3e4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { margin: 0 0 .75rem; font-size: 1.7rem; letter-spacing: -.02em; }
h1 span { color: var(--soft); font-weight: 400; }
h2 { margin: 0 0 .25rem; font-size: 1.15rem; }
main > h2 { margin: 2rem 0 .75rem; }
h3 { margin: 0; font-size: 1rem; }
form { display: flex; gap: .5rem; }
input { flex: 1; min-width: 0; }
input, button { font: inherit; padding: .5rem .8rem; border-radius: .5rem;
  border: 1px solid var(--line); background: var(--card); color: inherit; }
button { background: var(--water); border-color: var(--water); color: var(--card); cursor: pointer; }
.counts, small { color: var(--soft); font-size: .85rem; font-weight: 400; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.1rem 1.25rem; margin: 0 0 1rem; overflow-x: auto; }
section p { margin: .25rem 0 .75rem; color: var(--soft); max-width: 44rem; }
dl { display: flex; flex-wrap: wrap; gap: .4rem 1.75rem; margin: 0 0 .9rem; }
dt { color: var(--soft); font-size: .75rem; }
dd { margin: 0; font-size: .9rem; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .75rem; }
th, td { padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); vertical-align: top; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.status, .mark { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .72rem;
  font-weight: 500; vertical-align: middle; border: 1px solid currentColor; }
.fresh { color: #1f8a4c; } .stale { color: #b26a00; } .unsynced, .outdated, .failed { color: #c0392b; }
.mark { color: var(--water); }
ul { margin: 0; padding-left: 1.1rem; columns: 2; font-size: .9rem; }
a { color: var(--water); } ul a { text-decoration: none; }
.none { color: var(--soft); }
footer { padding-bottom: 2rem; display: flex; gap: 1rem; font-size: .85rem; }
"""
