// The page as a whole: which bot is looked at (the part of the address after #/), its head, and the keys that work everywhere.

import { Bots } from "./bots.js";
import { Chat } from "./chat.js";
import { bytes, element, paintFace, paintState, setText, span } from "./format.js";
import { last } from "./store.js";

const narrow = matchMedia("(max-width: 760px)");
const part = (id) => document.getElementById(id);

let chosen = null;
let chat = null;
let program = "";

const bots = new Bots(
  (bot) => {
    if (bot.name !== chosen) return;
    paintHead(bot);
    chat?.setState(bot);
  },
  () => follow(),
);

function wanted() {
  const name = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  if (name || narrow.matches) return name;
  const kept = last.bot();
  return bots.get(kept) ? kept : bots.first()?.name || "";
}

/** Make the page show what the address says, as far as the list knows it. */
function follow() {
  const name = wanted();
  const bot = bots.get(name);
  part("app").dataset.view = name ? "bot" : "list";
  const shown = bot ? name : null;
  if (shown !== chosen) {
    chat?.close();
    chat = null;
    chosen = shown;
    program = "";
    bots.choose(shown);
  }
  part("blank").hidden = Boolean(bot);
  part("head").hidden = !bot;
  part("chat").hidden = !bot?.chat;
  part("program").hidden = !bot || bot.chat;
  const fleet = part("fleet").textContent;
  document.title = bot ? `${name} · ${fleet}` : `${fleet} · ProcessSupervisor`;
  if (!bot) {
    if (name && bots.bots.size) setText(part("blank").querySelector("h2"), `This fleet has no bot named ${name}`);
    return;
  }
  // The address names the bot from now on, so that going back comes back to it.
  if (!location.hash.slice(2)) history.replaceState(null, "", `#/${name}`);
  last.keep(name);
  paintHead(bot);
  if (bot.chat && !chat) {
    chat = new Chat(name);
    chat.setState(bot);
  }
}

function paintHead(bot) {
  paintFace(part("face"), bot.name);
  setText(part("name"), bot.name);
  const kinds = { native: "bot", script: "unmodified script", command: "program" };
  setText(part("kind"), [bot.type, kinds[bot.kind] || bot.kind].filter(Boolean).join(" · "));
  paintState(part("state"), bot);
  paintFacts(bot);
  if (!bot.chat) paintProgram(bot);
}

function facts(bot) {
  const up = typeof bot.ready_at === "number" && bot.pid ? span(Date.now() / 1000 - bot.ready_at) : null;
  return [
    ["Health", bot.health && bot.health !== "unknown" ? bot.health : null],
    ["Process", bot.pid ? `pid ${bot.pid}` : null],
    ["Memory", bytes(bot.memory_bytes)],
    ["Ready for", up],
    ["Restarts", typeof bot.restarts === "number" ? String(bot.restarts) : null],
    ["Reason", bot.state !== "RUNNING" ? bot.reason : null],
  ].filter(([, value]) => value);
}

function paintFacts(bot) {
  const list = part("facts");
  const shown = facts(bot);
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) list.append(element("div", {}, element("dt"), element("dd")));
  shown.forEach(([name, value], index) => {
    setText(list.children[index].children[0], name);
    setText(list.children[index].children[1], value);
  });
}

/** A script or command has no chat: show what it said last and how to see more. */
function paintProgram(bot) {
  const mark = JSON.stringify([bot.name, bot.last_log]);
  if (mark === program) return;
  program = mark;
  const commands = [`psv logs -f ${bot.name}`, `psv bot status ${bot.name}`];
  part("program").replaceChildren(
    element("div", { className: "card" },
      element("h3", { textContent: "Last words" }),
      bot.last_log ? element("pre", { textContent: bot.last_log }) : element("p", { textContent: `${bot.name} has written nothing yet.` })),
    element("div", { className: "card" },
      element("h3", { textContent: "A program of its own" }),
      element("p", { textContent: `${bot.name} runs as it is, so it has no chat here. In a terminal:` }),
      element("ul", { className: "commands" }, ...commands.map(commandRow))),
  );
}

function commandRow(command) {
  const copy = element("button", { type: "button", className: "copy", textContent: "Copy", ariaLabel: `Copy ${command}` });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command);
    setText(copy, "Copied");
    setTimeout(() => setText(copy, "Copy"), 1500);
  });
  copy.hidden = !navigator.clipboard;
  return element("li", {}, element("code", { textContent: command }), copy);
}

function focusPane() {
  if (chat) part("text").focus();
  else if (chosen) part("program").querySelector("button:not([hidden])")?.focus();
}

window.addEventListener("hashchange", () => {
  follow();
  if (!narrow.matches) focusPane();
});
narrow.addEventListener("change", follow);
part("skip").addEventListener("click", (event) => {
  event.preventDefault();
  focusPane();
});
part("bots").addEventListener("click", (event) => {
  // A bot that is chosen already changes no address, so it raises no hashchange.
  if (event.target.closest("a")?.getAttribute("aria-current") && !narrow.matches) focusPane();
});
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (narrow.matches) location.hash = "#/";
    else bots.focus();
  } else if (event.key.length === 1 && document.activeElement === document.body && chat) {
    part("text").focus(); // what is typed with nothing chosen goes into the message
  }
});
setInterval(() => {
  const bot = chosen && bots.get(chosen);
  if (bot && !document.hidden) paintFacts(bot);
}, 1000);
