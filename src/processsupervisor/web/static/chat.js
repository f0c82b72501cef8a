// One chat: history first, then the live stream from where the history ends, and the field to write in.

import { setText } from "./format.js";
import { Mail } from "./mail.js";
import { Messages } from "./messages.js";
import { conversation, draft, outgoing, randomName } from "./store.js";
import { Stream } from "./stream.js";

const HISTORY = 100;
const AGAIN_MS = 1500;

export class Chat {
  constructor(bot) {
    this.bot = bot;
    this.conversation = conversation();
    this.lastSeq = 0;
    this.isPresent = true;
    this.isPaused = false;
    this.isClosed = false;
    this.answered = new Set(); // a reply can arrive before the 202 of what it answers
    this.stream = null;
    this.timer = 0;
    this.text = document.getElementById("text");
    this.form = document.getElementById("composer");
    this.messages = new Messages(bot, (id, text) => this.edit(id, text), (id) => this.discard(id), (id, button) => this.press(id, button));
    this.mail = new Mail(bot, this.conversation, (id, state, why) => this.onMail(id, state, why));
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.form.addEventListener("submit", (event) => this.submit(event), { signal });
    this.text.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.text.addEventListener("input", () => this.onInput(), { signal });
    window.addEventListener("online", () => this.mail.nudge(), { signal });
    this.text.placeholder = `Message ${bot}`;
    setText(document.getElementById("text-label"), `Message to ${bot}`);
    this.text.value = draft.of(bot);
    this.onInput();
    this.showNotice();
    this.load();
    this.mail.run();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.abort.abort();
    this.stream?.close();
    this.mail.close();
    this.messages.close();
  }

  /** The list says what state the bot is in; presence alone cannot tell a pause. */
  setState(bot) {
    const wasPaused = this.isPaused;
    this.isPaused = bot.state === "PAUSED" || bot.state === "PAUSING";
    if (wasPaused && !this.isPaused) this.mail.nudge();
    this.showNotice();
  }

  async load() {
    clearTimeout(this.timer);
    let answer = null;
    try {
      const query = new URLSearchParams({ conversation: this.conversation, limit: HISTORY, render: 1 });
      const response = await fetch(`/chat/${this.bot}/history?${query}`, { signal: AbortSignal.timeout(15000) });
      if (response.ok) answer = await response.json();
    } catch {
      // away: tried again below
    }
    if (this.isClosed) return;
    if (answer === null) {
      this.setPresent(false);
      this.showOutgoing();
      this.timer = setTimeout(() => this.load(), AGAIN_MS);
      return;
    }
    this.show(answer.messages);
    this.setPresent(true);
    this.listen();
  }

  show(history) {
    const place = this.messages.place();
    this.messages.clear();
    for (const message of history) {
      if (message.from === "bot") {
        this.messages.theirs({ ...message, final: true });
        if (typeof message.seq === "number") this.lastSeq = Math.max(this.lastSeq, message.seq);
      } else {
        this.messages.mine(message.id, message.text, message.at, "accepted");
        outgoing.remove(this.bot, message.id);
      }
    }
    this.showOutgoing();
    this.messages.toPlace(place);
  }

  showOutgoing() {
    for (const entry of outgoing.of(this.bot)) {
      if (!this.messages.has(entry.id)) this.messages.mine(entry.id, entry.text, entry.at, entry.refused ? "refused" : "sending", entry.refused);
    }
  }

  listen() {
    this.stream?.close();
    const address = () => {
      const query = new URLSearchParams({ conversation: this.conversation, render: 1, last_event_id: this.lastSeq });
      return `/chat/${this.bot}/events?${query}`;
    };
    this.stream = new Stream(address, {
      message: (event, id) => this.hear(event, id),
      presence: ({ present }) => this.setPresent(present),
    });
  }

  hear(event, id) {
    if (event.final && id) this.lastSeq = Math.max(this.lastSeq, Number(id));
    if (event.reply_to && !this.messages.has(event.reply_to)) {
      this.load(); // written in another window of this browser
      return;
    }
    this.messages.theirs(event);
    if (event.reply_to && outgoing.of(this.bot).some((entry) => entry.id === event.reply_to)) this.answered.add(event.reply_to);
    if (event.final) setText(document.getElementById("heard"), `${this.bot}: ${event.text}`);
  }

  setPresent(isPresent) {
    const isBack = isPresent && !this.isPresent;
    this.isPresent = isPresent;
    if (!isPresent) this.messages.stall();
    if (isBack) this.mail.nudge();
    this.showNotice();
  }

  showNotice() {
    const notice = document.getElementById("notice");
    let text = "";
    if (!this.isPresent) text = `Waiting for ${this.bot}. What you send is kept here and delivered when it is back.`;
    else if (this.isPaused) text = `${this.bot} is paused. What you send is kept here and delivered when it goes on.`;
    setText(notice, text);
    notice.hidden = !text;
  }

  onMail(id, state, why) {
    this.messages.setMail(id, state, why);
    if (state === "accepted" && !this.answered.delete(id)) this.messages.showDots();
  }

  submit(event) {
    event.preventDefault();
    const text = this.text.value;
    if (!text.trim()) return;
    this.send({ text });
    this.text.value = "";
    this.onInput();
    this.text.focus();
  }

  /** Press a button of a message: it is sent as its label, with what the bot knows it by. */
  press(message, button) {
    this.send({ text: button.label, press: { message, data: button.data } });
  }

  send(said) {
    const entry = { id: `web-${randomName()}`, at: Date.now() / 1000, ...said };
    outgoing.add(this.bot, entry);
    this.messages.hideDots();
    this.messages.mine(entry.id, entry.text, entry.at, "sending");
    this.messages.toNewest();
    this.mail.run();
  }

  onKey(event) {
    // isComposing: Enter then chooses a word of an input method.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.form.requestSubmit();
    }
  }

  onInput() {
    draft.keep(this.bot, this.text.value);
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight}px`;
    document.getElementById("send").disabled = !this.text.value.trim();
  }

  edit(id, text) {
    this.discard(id);
    this.text.value = this.text.value ? `${this.text.value}\n${text}` : text;
    this.onInput();
    this.text.focus();
  }

  discard(id) {
    outgoing.remove(this.bot, id);
    this.messages.remove(id);
    this.text.focus();
  }
}
