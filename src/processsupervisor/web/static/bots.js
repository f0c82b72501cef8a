// The list of bots, live: one row a bot, redrawn only where something changed.

import { bytes, element, paintFace, paintState, plural, setText } from "./format.js";
import { Stream } from "./stream.js";

const FIND_FROM = 9;

export class Bots {
  /** `onChange(bot)` hears of each bot that is new or changed; `onList()` after each update. */
  constructor(onChange, onList) {
    this.bots = new Map();
    this.rows = new Map();
    this.chosen = null;
    this.onChange = onChange;
    this.onList = onList;
    this.isSupervised = true;
    this.isOnline = true;
    this.list = document.getElementById("bots");
    this.find = document.getElementById("find");
    this.find.addEventListener("input", () => this.filter());
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.stream = new Stream(
      () => "/api/events",
      { message: (update) => this.update(update) },
      (isOpen) => this.setOnline(isOpen),
    );
  }

  get(name) {
    return this.bots.get(name);
  }

  first() {
    const all = [...this.bots.values()];
    return all.find((bot) => bot.chat) || all[0];
  }

  choose(name) {
    this.chosen = name;
    for (const [bot, row] of this.rows) {
      if (bot === name) row.link.setAttribute("aria-current", "page");
      else row.link.removeAttribute("aria-current");
    }
  }

  focus() {
    (this.rows.get(this.chosen) || this.rows.values().next().value)?.link.focus();
  }

  setOnline(isOnline) {
    this.isOnline = isOnline;
    this.showBanner();
  }

  update(update) {
    this.isSupervised = update.supervisor;
    this.isOnline = true;
    setText(document.getElementById("fleet"), update.fleet);
    if (update.full) {
      const names = new Set(update.bots.map((bot) => bot.name));
      for (const gone of [...this.bots.keys()].filter((name) => !names.has(name))) {
        this.rows.get(gone)?.item.remove();
        this.rows.delete(gone);
        this.bots.delete(gone);
      }
    }
    for (const bot of update.bots) {
      this.bots.set(bot.name, bot);
      const row = this.rows.get(bot.name) || this.addRow(bot);
      if (update.full) this.list.append(row.item);
      this.paint(row, bot);
      this.onChange(bot);
    }
    this.list.classList.toggle("is-stale", !update.supervisor);
    this.showBanner();
    this.summarise();
    this.filter();
    this.onList();
  }

  addRow(bot) {
    const face = element("span", { className: "avatar", ariaHidden: "true" });
    paintFace(face, bot.name);
    const row = {
      state: element("span", { className: "pill" }),
      numbers: element("span", { className: "numbers" }),
      words: element("span", { className: "words" }),
    };
    const title = element("span", { className: "title", textContent: bot.name });
    row.link = element("a", { className: "bot", href: `#/${bot.name}` }, face, title, row.state, row.numbers, row.words);
    if (bot.name === this.chosen) row.link.setAttribute("aria-current", "page");
    row.item = element("li", {}, row.link);
    this.list.append(row.item);
    this.rows.set(bot.name, row);
    return row;
  }

  paint(row, bot) {
    paintState(row.state, bot);
    setText(row.numbers, numbers(bot).join(" · "));
    setText(row.words, bot.last_log || "");
    row.words.title = bot.last_log || "";
  }

  summarise() {
    const counts = new Map();
    for (const bot of this.bots.values()) {
      const state = (bot.state || "not known").toLowerCase();
      counts.set(state, (counts.get(state) || 0) + 1);
    }
    const words = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
    setText(document.getElementById("summary"), this.bots.size ? `${plural(this.bots.size, "bot")}: ${words}` : "No bots yet");
  }

  showBanner() {
    const banner = document.getElementById("banner");
    let text = "";
    if (!this.isOnline) text = "The web process is away. Reconnecting; what you write is kept here.";
    else if (!this.isSupervised) text = "The supervisor is not answering. The bots keep running and chat goes on; the list shows what was known last.";
    setText(banner, text);
    banner.hidden = !text;
  }

  filter() {
    const sought = this.find.value.trim().toLowerCase();
    document.getElementById("finder").hidden = this.bots.size < FIND_FROM && !sought;
    let shown = 0;
    for (const [name, row] of this.rows) {
      row.item.hidden = !name.includes(sought);
      shown += row.item.hidden ? 0 : 1;
    }
    const nothing = document.getElementById("nothing");
    nothing.hidden = shown > 0;
    setText(nothing, this.bots.size ? `No bot is named like “${sought}”.` : "This fleet has no bots. Add one to fleet.toml.");
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const links = [...this.rows.values()].filter((row) => !row.item.hidden).map((row) => row.link);
    links.sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
    links[links.indexOf(document.activeElement) + step]?.focus();
  }
}

function numbers(bot) {
  const parts = [];
  if (bot.health && bot.health !== "unknown" && bot.state === "RUNNING") parts.push(bot.health);
  if (bot.reason && bot.state !== "RUNNING") parts.push(bot.reason);
  if (bot.pid) parts.push(`pid ${bot.pid}`);
  const memory = bytes(bot.memory_bytes);
  if (memory) parts.push(memory);
  if (typeof bot.restarts === "number") parts.push(plural(bot.restarts, "restart"));
  return parts.length ? parts : [bot.kind || ""];
}
