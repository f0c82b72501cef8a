// The messages of one chat on the screen: places, drafts that become final, and staying at the newest one.
// HTML is only ever set from `html`, which the server made of markdown with everything but plain formatting escaped.

import { showExtras } from "./extras.js";
import { clock, day, element, paintFace, setText } from "./format.js";

const NEAR_PX = 80;

export class Messages {
  constructor(bot, onEdit, onDiscard, onPress) {
    this.bot = bot;
    this.onEdit = onEdit;
    this.onDiscard = onDiscard;
    this.onPress = onPress;
    this.shown = new Map();
    this.list = document.getElementById("messages");
    this.scroller = document.getElementById("scroll");
    this.down = document.getElementById("down");
    this.dots = null;
    this.dotsTimer = 0;
    this.isFollowing = true;
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.scroller.addEventListener("scroll", () => this.look(), { signal, passive: true });
    this.down.addEventListener("click", () => this.toNewest(), { signal });
    this.resized = new ResizeObserver(() => this.isFollowing && this.toNewest());
    this.resized.observe(this.scroller);
    this.clear();
  }

  close() {
    this.abort.abort();
    this.resized.disconnect();
    clearTimeout(this.dotsTimer);
    this.list.replaceChildren();
    this.down.hidden = true;
  }

  clear() {
    this.shown.clear();
    this.hideDots();
    this.lastDay = "";
    const face = element("div", { className: "avatar", ariaHidden: "true" });
    paintFace(face, this.bot);
    this.hello = element("li", { className: "hello" }, face, element("h3", { textContent: `Write to ${this.bot}` }), element("p", { textContent: "Nothing has been said here yet." }));
    this.list.replaceChildren(this.hello);
  }

  has(id) {
    return this.shown.has(id);
  }

  /** Show a message of the person; `mail` is one of sending, waiting, accepted, refused. */
  mine(id, text, at, mail, why = "") {
    const entry = this.entry(id, "mine", at);
    setText(entry.bubble, text);
    this.setMail(id, mail, why);
  }

  setMail(id, mail, why = "") {
    const entry = this.shown.get(id);
    if (!entry || !entry.node.classList.contains("mine")) return;
    entry.node.dataset.mail = mail;
    const words = { sending: "Sending…", waiting: waiting(this.bot, why), refused: `Not sent: ${why}`, accepted: clock(entry.at) }[mail];
    setText(entry.note, words);
    entry.under.replaceChildren(entry.note);
    if (mail === "refused") {
      entry.under.append(
        element("button", { type: "button", textContent: "Edit", onclick: () => this.onEdit(id, entry.bubble.textContent) }),
        element("button", { type: "button", textContent: "Discard", onclick: () => this.onDiscard(id) }),
      );
    }
  }

  /** Show what the bot says, a piece or the final text, under its id; what edits an earlier message takes its place. */
  theirs({ id, text, html, final, at, buttons, files, edits }) {
    this.hideDots();
    const root = edits || id;
    const isChange = this.shown.has(root);
    const entry = this.entry(root, "theirs", at);
    this.shown.set(id, entry);
    if (!final && entry.isFinal) return;
    entry.isFinal = final;
    if (typeof html === "string") entry.bubble.innerHTML = html;
    else setText(entry.bubble, text);
    entry.bubble.classList.toggle("plain", typeof html !== "string");
    entry.node.classList.toggle("draft", !final);
    entry.node.classList.remove("stalled");
    entry.bubble.ariaBusy = final ? "false" : "true";
    entry.bubble.hidden = final && !text;
    showExtras(entry.extras, this.bot, buttons || [], files || [], (button) => this.onPress(root, button));
    const changed = edits && isChange ? `, changed ${clock(at || Date.now() / 1000)}` : "";
    setText(entry.note, final ? clock(entry.at) + changed : "writing…");
    this.follow();
  }

  /** The bot went away in the middle of a reply: it goes on under the same id when it is back. */
  stall() {
    this.hideDots();
    for (const entry of this.shown.values()) {
      if (!entry.node.classList.contains("draft")) continue;
      entry.node.classList.add("stalled");
      setText(entry.note, `interrupted; continues when ${this.bot} is back`);
    }
  }

  remove(id) {
    this.shown.get(id)?.node.remove();
    this.shown.delete(id);
  }

  showDots() {
    this.hideDots();
    this.dots = element("li", { className: "message theirs", ariaLabel: `${this.bot} is working` }, element("div", { className: "bubble dots" }, element("i"), element("i"), element("i")));
    this.list.append(this.dots);
    this.dotsTimer = setTimeout(() => this.hideDots(), 15000); // a bot need not answer everything
    this.follow();
  }

  hideDots() {
    clearTimeout(this.dotsTimer);
    this.dots?.remove();
    this.dots = null;
  }

  entry(id, side, at = Date.now() / 1000) {
    const known = this.shown.get(id);
    if (known) return known;
    this.hello.remove();
    const today = day(at);
    if (today !== this.lastDay) this.list.append(element("li", { className: "day", textContent: today }));
    this.lastDay = today;
    const bubble = element("div", { className: "bubble" });
    const note = element("span");
    const under = element("div", { className: "under" }, note);
    const from = element("span", { className: "unseen", textContent: side === "mine" ? "You: " : `${this.bot}: ` });
    const extras = element("div", { className: "extras", hidden: true });
    const node = element("li", { className: `message ${side}` }, from, bubble, extras, under);
    this.list.append(node);
    const made = { node, bubble, extras, note, under, at, isFinal: false };
    this.shown.set(id, made);
    this.follow();
    return made;
  }

  look() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    this.isFollowing = scrollTop + clientHeight > scrollHeight - NEAR_PX;
    if (this.isFollowing) this.down.hidden = true;
  }

  follow() {
    if (this.isFollowing) this.toNewest();
    else this.down.hidden = false;
  }

  /** Where the person reads: null at the newest message, else the distance from the top. */
  place() {
    return this.isFollowing ? null : this.scroller.scrollTop;
  }

  toPlace(place) {
    if (place === null) this.toNewest();
    else this.scroller.scrollTop = place;
  }

  toNewest() {
    this.isFollowing = true;
    this.down.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

function waiting(bot, why) {
  if (why === "paused") return `Kept here: ${bot} is paused`;
  if (why === "network") return "Kept here: waiting for the connection";
  return `Kept here: waiting for ${bot}`;
}
