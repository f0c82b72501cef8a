// Sends what was written to one bot, in order, one at a time, until the bot has committed it.
// A message keeps its id over every try, so that the bot handles it once however often it arrives.

import { outgoing } from "./store.js";

const DEADLINE_MS = 15000;
const LONGEST_WAIT_MS = 5000;

export class Mail {
  /** `tell(id, state, why)` hears "sending", "waiting", "accepted" or "refused" of each message. */
  constructor(bot, conversation, tell) {
    this.bot = bot;
    this.conversation = conversation;
    this.tell = tell;
    this.isRunning = false;
    this.isClosed = false;
    this.wake = () => {};
  }

  close() {
    this.isClosed = true;
    this.wake();
  }

  /** Try again now: the bot or the network is back. */
  nudge() {
    this.wake();
    this.run();
  }

  async run() {
    if (this.isRunning || this.isClosed) return;
    this.isRunning = true;
    let tries = 0;
    try {
      for (;;) {
        const entry = outgoing.of(this.bot).find((candidate) => !candidate.refused);
        if (!entry || this.isClosed) return;
        if (tries === 0) this.tell(entry.id, "sending");
        const outcome = await this.post(entry);
        if (outcome.state === "accepted") outgoing.remove(this.bot, entry.id);
        if (outcome.state === "refused") outgoing.change(this.bot, entry.id, { refused: outcome.why });
        if (!this.isClosed) this.tell(entry.id, outcome.state, outcome.why);
        if (outcome.state !== "waiting") {
          tries = 0;
          continue;
        }
        tries += 1;
        await this.pause(Math.min(outcome.retryMs * tries, LONGEST_WAIT_MS));
      }
    } finally {
      this.isRunning = false;
    }
  }

  async post(entry) {
    let response;
    try {
      response = await fetch(`/chat/${this.bot}/messages`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ id: entry.id, text: entry.text, conversation: this.conversation, press: entry.press }),
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
    } catch {
      return { state: "waiting", why: "network", retryMs: 1000 };
    }
    if (response.status === 202) return { state: "accepted" };
    const problem = await response.json().catch(() => ({}));
    if (response.status >= 500 || response.status === 408 || response.status === 429) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      return { state: "waiting", why: problem.code || "server", retryMs: seconds * 1000 };
    }
    return { state: "refused", why: problem.message || `the server answered ${response.status}` };
  }

  pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
