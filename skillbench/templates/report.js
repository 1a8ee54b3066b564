"use strict";
// The theme button, and the episode viewer: a filtered, virtualised list, and transcripts that are
// unpacked when they are asked for. Texts go into the page as text nodes only.
(() => {
  const byId = (id) => document.getElementById(id);
  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const source = byId("episodes-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const HEIGHT = 30, MARGIN = 8;
  const list = byId("rows"), space = byId("space"), panel = byId("episode"), count = byId("count");
  const fields = ["arm", "outcome", "type", "seed"].map(byId), search = byId("search");
  // A row is [arm, seed, task, type, outcome, steps, goal, chunk or -1, place in the chunk].
  const all = data.rows.map((row, index) => ({
    index, arm: data.arms[row[0]], seed: String(row[1]), task: row[2], type: data.types[row[3]],
    outcome: data.outcomes[row[4]], steps: row[5], goal: row[6], chunk: row[7], place: row[8],
    text: (row[2] + " " + row[6]).toLowerCase(),
  }));
  let shown = all, chosen = -1;

  const make = (tag, text, css) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (css) node.className = css;
    return node;
  };

  function filter() {
    const [arm, outcome, type, seed] = fields.map((field) => field.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = all.filter((row) => (!arm || row.arm === arm) && (!outcome || row.outcome === outcome) &&
      (!type || row.type === type) && (!seed || row.seed === seed) &&
      words.every((word) => row.text.includes(word)));
    chosen = -1;
    list.scrollTop = 0;
    count.textContent = `${shown.length} of ${all.length} episodes`;
    space.style.height = `${shown.length * HEIGHT}px`;
    paint();
  }

  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - MARGIN);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / HEIGHT) + 2 * MARGIN);
    const nodes = [];
    for (let i = first; i < last; i++) {
      const row = shown[i], node = make("div", undefined, "row");
      node.id = `row-${i}`;
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", String(i === chosen));
      node.setAttribute("aria-posinset", i + 1);
      node.setAttribute("aria-setsize", shown.length);
      node.style.top = `${i * HEIGHT}px`;
      node.append(make("span", row.arm), make("span", `seed ${row.seed}`),
        make("span", row.outcome, row.outcome === "success" ? "good" : "bad"),
        make("span", row.type), make("span", row.goal));
      node.addEventListener("click", () => { choose(i); open(shown[i]); });
      nodes.push(node);
    }
    space.replaceChildren(...nodes);
    if (chosen >= 0) list.setAttribute("aria-activedescendant", `row-${chosen}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(i) {
    if (!shown.length) return;
    chosen = Math.max(0, Math.min(shown.length - 1, i));
    const top = chosen * HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + HEIGHT > list.scrollTop + list.clientHeight) {
      list.scrollTop = top + HEIGHT - list.clientHeight;
    }
    paint();
  }

  const unpacked = new Map();
  async function unpack(chunk) {
    if (!unpacked.has(chunk)) {
      const bytes = Uint8Array.from(atob(data.chunks[chunk]), (c) => c.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      unpacked.set(chunk, new Response(stream).json());
    }
    return unpacked.get(chunk);
  }

  async function open(row) {
    history.replaceState(null, "",
      `#episode=${row.arm}/${row.seed}/${encodeURIComponent(row.task)}`);
    const head = make("h3", `${row.goal}`);
    const about = make("p", `${row.arm}, seed ${row.seed}, ${row.type}, ${row.outcome} after ` +
      `${row.steps} steps; ${row.task}`, "soft");
    if (row.chunk < 0) {
      panel.replaceChildren(head, about,
        make("p", `The transcript is in episodes.jsonl; this page holds the first ${data.held}.`));
      return;
    }
    const episode = (await unpack(row.chunk))[row.place];
    const nodes = [head, about];
    const skills = (episode.skills || []).map((id) => [id, data.skills[id]]);
    if (skills.length) {
      const box = make("details");
      box.open = true;
      box.append(make("summary", `Skills in the prompt from the first step on (${skills.length})`));
      for (const [id, skill] of skills) {
        const line = make("p");
        line.append(make("span", id, "chip"), skill ? `${skill.title}: ${skill.principle}` : "");
        box.append(line);
      }
      nodes.push(box);
    }
    if (episode.system) {
      const box = make("details");
      box.append(make("summary", "System message"), make("pre", episode.system));
      nodes.push(box);
    }
    episode.steps.forEach(([observation, response, action, valid], number) => {
      const box = make("div", undefined, "step");
      const note = skills.length ? `, ${skills.length} skills in the prompt` : "";
      box.append(make("div", `step ${number + 1}${note}${valid ? "" : ", invalid"}`, "soft"),
        make("pre", observation), make("pre", `> ${response}`, valid ? "act" : "bad"));
      if (!response.includes(action)) box.append(make("pre", `done: ${action}`, "soft"));
      nodes.push(box);
    });
    if (episode.final) nodes.push(make("pre", episode.final));
    if (episode.error) nodes.push(make("pre", episode.error, "bad"));
    panel.replaceChildren(...nodes);
    panel.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  }

  function follow() {
    const found = location.hash.match(/^#episode=([^/]+)\/(\d+)\/(.+)$/);
    if (!found) return;
    const task = decodeURIComponent(found[3]);
    const row = all.find((r) => r.arm === found[1] && r.seed === found[2] && r.task === task);
    if (!row) return;
    choose(shown.indexOf(row));
    open(row);
  }

  list.addEventListener("scroll", paint);
  list.addEventListener("keydown", (event) => {
    const page = Math.floor(list.clientHeight / HEIGHT);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page,
      Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      event.preventDefault();
      choose(chosen + moves[event.key]);
    } else if ((event.key === "Enter" || event.key === " ") && chosen >= 0) {
      event.preventDefault();
      open(shown[chosen]);
    }
  });
  for (const field of fields) field.addEventListener("change", filter);
  search.addEventListener("input", filter);
  addEventListener("hashchange", follow);
  filter();
  follow();
})();
