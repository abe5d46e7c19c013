// The catalogue's one script: search as you type, facets, and copying. Without it pages work as links
// and a form. A static site has its features in assets/features.js (`window.forebayFeatures`), and is
// searched here, by the rules of serving/catalogue/search.py; a server is asked at v1/features.
"use strict";
(() => {
  const { up, suffix } = document.body.dataset;
  const FIRST = 50;
  const get = (id) => document.getElementById(id);

  // ---- Copying -----------------------------------------------------------------------------------
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // plain http on another host has no clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.firstChild;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await copy(button.parentElement.querySelector("code").textContent);
      label.data = "Copied";
      setTimeout(() => { label.data = "Copy"; }, 1500);
    });
  }

  // ---- The keyboard: "/" goes to the search, arrows walk through what it finds --------------------
  const input = document.querySelector("[data-search]");
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && input) {
      event.preventDefault();
      input.focus();
      input.select();
    }
    const rows = get("rows");
    if (!rows || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    const links = [...rows.querySelectorAll("a.name")];
    const at = links.indexOf(document.activeElement);
    if (at < 0 && document.activeElement !== input) return;
    event.preventDefault();
    const next = event.key === "ArrowDown" ? at + 1 : at - 1;
    if (next < 0) input.focus();
    else if (links[next]) links[next].focus();
  });

  // ---- Ranking, as serving/catalogue/search.py does it ---------------------------------------------
  const EXACT = 8, BEGINS = 5, INSIDE = 2, ONE_SLIP = 2, TWO_SLIPS = 1;
  const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  const slipsTo = (word, known, most) => {
    const other = known.slice(0, word.length + most);
    let earlier = [], before = [], row = Array.from({ length: other.length + 1 }, (_, i) => i);
    for (let i = 1; i <= word.length; i++) {
      [earlier, before, row] = [before, row, [i]];
      for (let j = 1; j <= other.length; j++) {
        let cost = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (word[i - 1] !== other[j - 1]));
        if (i > 1 && j > 1 && word[i - 1] === other[j - 2] && word[i - 2] === other[j - 1]) {
          cost = Math.min(cost, earlier[j - 2] + 1);
        }
        row.push(cost);
      }
      if (Math.min(...row) > most) return most + 1;
    }
    return Math.min(Math.min(...row), most + 1);
  };
  const byText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  class Index {
    constructor(data) {
      this.data = data; // {features, views, others}; see serving/catalogue/export.py
      this.words = new Map();
      const add = (number, word, weight) => {
        let known = this.words.get(word);
        if (!known) this.words.set(word, (known = new Map()));
        if ((known.get(number) || 0) < weight) known.set(number, weight);
      };
      data.features.forEach((feature, number) => {
        for (const [weight, text, whole] of this.fields(feature)) {
          const folded = fold(text);
          if (whole && folded.trim()) add(number, folded.trim(), weight * 2);
          for (const part of folded.match(/[\p{L}\p{N}]+/gu) || []) {
            if (!(whole && part === folded)) add(number, part, weight);
          }
        }
      });
      this.vocabulary = [...this.words.keys()];
      this.names = new Set(data.features.map((f) => fold(f.name)));
    }

    fields(f) {
      const view = this.data.views[f.view];
      return [
        [12, f.name, true], [6, view.name, true],
        ...view.entities.map((e) => [5, e, true]), ...f.tags.map((t) => [6, t, true]),
        ...f.columns.map((s) => [4, s, true]), ...view.sources.map((s) => [4, s, true]),
        [3, view.owner, true], [3, view.group, true], [3, f.description, false], [3, f.type, false],
      ];
    }

    alike(word) {
      if (word.length < 2) {
        const names = [...this.names].filter((n) => n.startsWith(word) && n !== word);
        return [...(this.words.has(word) ? [[word, EXACT]] : []), ...names.map((n) => [n, BEGINS])];
      }
      const found = [];
      for (const known of this.vocabulary) {
        if (known === word) found.push([known, EXACT]);
        else if (known.startsWith(word)) found.push([known, BEGINS]);
        else if (word.length >= 3 && known.includes(word)) found.push([known, INSIDE]);
      }
      if (found.length || word.length < 4) return found;
      const allowed = word.length >= 8 ? 2 : 1;
      let near = [];
      for (const known of this.vocabulary) {
        if (known[0] !== word[0] && known[0] !== word[1]) continue;
        const slips = slipsTo(word, known, allowed);
        if (slips <= allowed) near.push([known, slips]);
      }
      const fewest = Math.min(...near.map((n) => n[1]));
      return near.filter((n) => n[1] === fewest).map((n) => [n[0], fewest === 1 ? ONE_SLIP : TWO_SLIPS]);
    }

    search(query) {
      const words = new Set();
      for (const word of fold(query).split(/\s+/).filter(Boolean)) {
        const parts = this.words.has(word) ? [word] : word.split(/[:.@/]|__/);
        for (const part of parts) if (/[^_]/.test(part)) words.add(part.slice(0, 40));
      }
      const scores = new Map(), matched = new Map();
      for (const word of [...words].slice(0, 8)) {
        const best = new Map();
        for (const [known, quality] of this.alike(word)) {
          for (const [number, weight] of this.words.get(known)) {
            if ((best.get(number) || 0) < weight * quality) best.set(number, weight * quality);
          }
        }
        for (const [number, score] of best) {
          scores.set(number, (scores.get(number) || 0) + score);
          matched.set(number, (matched.get(number) || 0) + 1);
        }
      }
      const most = Math.max(0, ...matched.values());
      const length = (n) => [...this.data.features[n].name].length;
      return [...scores.keys()].filter((n) => matched.get(n) === most).sort((a, b) =>
        scores.get(b) - scores.get(a) || length(a) - length(b) || byText(this.reference(a), this.reference(b)));
    }

    reference(number) {
      const feature = this.data.features[number];
      return `${this.data.views[feature.view].name}:${feature.name}`;
    }

    // What GET v1/features answers, of a static site.
    find(query, chosen, offset) {
      const { features, views, facets, others } = this.data;
      const values = (number, name) => {
        const f = features[number], v = views[f.view];
        return { entity: [v.entity], tag: f.tags, source: v.sources, owner: v.owner ? [v.owner] : [],
          group: v.group ? [v.group] : [], type: [f.type] }[name] || [];
      };
      const all = query.trim() ? this.search(query) : features.map((_, i) => i);
      const narrow = (numbers, but) => Object.entries(chosen).reduce((kept, [name, wanted]) =>
        name === but ? kept : kept.filter((n) => values(n, name).some((v) => wanted.includes(v))), numbers);
      const numbers = narrow(all);
      const made = facets.map(({ name, label }) => {
        const counts = new Map();
        for (const n of narrow(all, name)) for (const v of values(n, name)) counts.set(v, (counts.get(v) || 0) + 1);
        const picked = chosen[name] || [];
        const top = [...counts].sort((a, b) => b[1] - a[1] || byText(a[0], b[0])).slice(0, 12);
        for (const v of picked) if (!top.some(([t]) => t === v)) top.push([v, counts.get(v) || 0]);
        return { name, label, values: top.map(([value, count]) => ({ value, count, chosen: picked.includes(value) })) };
      }).filter((facet) => facet.values.length);
      const words = fold(query).split(/\s+/).filter(Boolean);
      return {
        total: numbers.length, query, facets: made,
        others: words.length ? others.filter((o) => words.every((w) => fold(o.name).includes(w))).slice(0, 6) : [],
        features: numbers.slice(offset, offset + FIRST).map((n) => {
          const f = features[n], v = views[f.view];
          return { ...f, view: v.name, owner: v.owner, deprecated: v.deprecated,
            entities: v.entities.map((name) => ({ name })), status: null };
        }),
      };
    }
  }
  window.forebayIndex = Index; // for the test that holds both rankings together

  // ---- The first page ------------------------------------------------------------------------------
  const rows = get("rows");
  if (!rows) return;
  const local = window.forebayFeatures;
  let index = null;
  let asked = 0;
  const NAMES = ["status", "entity", "tag", "source", "owner", "group", "type"];
  const readState = () => {
    const given = new URLSearchParams(location.search);
    const chosen = {};
    for (const name of NAMES) if (given.has(name)) chosen[name] = given.getAll(name);
    return { q: given.get("q") || "", chosen };
  };
  let state = readState();
  const toQuery = ({ q, chosen }, from) => {
    const made = new URLSearchParams();
    if (q) made.set("q", q);
    for (const [name, values] of Object.entries(chosen)) for (const v of values) made.append(name, v);
    if (from) made.set(local ? "from" : "offset", from);
    return made;
  };
  const find = async (offset) => {
    if (local) {
      index ||= new Index(local);
      return index.find(state.q, state.chosen, offset);
    }
    const query = toQuery(state, offset);
    query.set("limit", FIRST);
    const answer = await fetch(`${up}v1/features?${query}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    return answer.json();
  };
  const put = (row, name, text) => { row.querySelector(name).textContent = text || ""; };
  const fillRow = (feature) => {
    const row = get("row").content.firstElementChild.cloneNode(true);
    const link = row.querySelector("a.name");
    link.textContent = feature.name;
    link.href = `${up}${feature.page}${suffix}`;
    put(row, ".type", feature.type);
    put(row, ".about", feature.description);
    put(row, ".view", feature.view);
    put(row, ".entity", feature.entities.map((e) => e.name).join(", "));
    put(row, ".owner", feature.owner);
    put(row, ".tags", feature.tags.join(" "));
    const status = row.querySelector(".status");
    if (feature.status) Object.assign(status, { textContent: feature.status, className: `status ${feature.status}` });
    else status.remove();
    if (!feature.deprecated) row.querySelector(".mark").remove();
    return row;
  };
  const toggled = (name, value) => {
    const before = state.chosen[name] || [];
    const after = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
    const chosen = { ...state.chosen, [name]: after };
    if (!after.length) delete chosen[name];
    return { ...state, chosen };
  };
  const fillFacets = (facets) => {
    const shown = facets.map((facet) => {
      const section = get("facet").content.firstElementChild.cloneNode(true);
      section.dataset.facet = facet.name;
      section.querySelector("h2").textContent = facet.label;
      section.querySelector("ul").replaceChildren(...facet.values.map((v) => {
        const item = get("choice").content.firstElementChild.cloneNode(true);
        const link = item.querySelector("a");
        put(item, ".value", v.value);
        put(item, ".count", v.count);
        link.dataset.value = v.value;
        link.href = `?${toQuery(toggled(facet.name, v.value))}`;
        if (v.chosen) link.setAttribute("aria-current", "true");
        return item;
      }));
      return section;
    });
    get("facets").replaceChildren(...shown);
  };
  const show = (found, offset) => {
    const made = found.features.map(fillRow);
    if (offset) rows.append(...made);
    else {
      rows.replaceChildren(...made);
      fillFacets(found.facets);
      const count = document.createElement("strong");
      count.textContent = `${found.total.toLocaleString("en")} feature${found.total === 1 ? "" : "s"}`;
      get("total").replaceChildren(count, state.q ? ` for “${state.q}”` : "");
      get("others").hidden = !found.others.length;
      get("others").replaceChildren(...found.others.map((other) => {
        const link = document.createElement("a"), kind = document.createElement("span");
        kind.className = "kind";
        kind.textContent = other.kind;
        link.href = `${up}${other.page}${suffix}`;
        link.append(kind, ` ${other.name}`);
        return link;
      }));
      get("nothing").hidden = found.total > 0;
    }
    get("more").hidden = rows.children.length >= found.total;
  };
  const run = async (offset = 0) => {
    const mine = ++asked;
    try {
      const found = await find(offset);
      if (mine === asked) show(found, offset); // else a later query is under way
    } catch (error) {
      if (mine === asked) get("total").textContent = `Not found out: ${error.message}`;
    }
  };
  const change = (next) => {
    state = next;
    history.replaceState(null, "", `?${toQuery(state)}`);
    return run();
  };
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ ...state, q: input.value }), local ? 0 : 60);
  });
  get("search").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    change({ ...state, q: input.value });
  });
  get("facets").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const name = link.closest("section").dataset.facet, value = link.dataset.value;
    const again = () => [...document.querySelectorAll(`[data-facet="${name}"] a`)].find((a) => a.dataset.value === value);
    change(toggled(name, value)).then(() => {
      // The links are replaced: the keyboard stays where it was, unless the reader has gone on.
      if (document.activeElement === document.body) again()?.focus();
    });
  });
  get("more").addEventListener("click", (event) => {
    event.preventDefault();
    run(rows.children.length);
  });
  if (matchMedia("(max-width: 48rem)").matches) document.querySelector(".facets details").open = false;
  if (local && location.search.length > 1) { // a deep link into a static site
    input.value = state.q;
    run();
  }
})();
