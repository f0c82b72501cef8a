// What this browser keeps: its conversation's name, text that is not sent yet, and the bot looked at last.
// Without localStorage (private windows of some browsers) the page works and forgets.

const memory = new Map();

function read(key) {
  try {
    return localStorage.getItem(`psv.${key}`) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

function write(key, value) {
  if (value === null) memory.delete(key);
  else memory.set(key, value);
  try {
    if (value === null) localStorage.removeItem(`psv.${key}`);
    else localStorage.setItem(`psv.${key}`, value);
    return true;
  } catch {
    return false;
  }
}

/** 16 random bytes as text; crypto.randomUUID is missing on plain http addresses other than localhost. */
export function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function conversation() {
  let name = read("conversation");
  if (!name) {
    name = `web-${randomName()}`;
    write("conversation", name);
  }
  return name;
}

export const draft = {
  of: (bot) => read(`draft.${bot}`) || "",
  keep: (bot, text) => write(`draft.${bot}`, text || null),
};

export const last = {
  bot: () => read("last"),
  keep: (bot) => write("last", bot),
};

/** Messages on their way to one bot, oldest first: {id, text, at, press?, refused?}. Read anew each time: other windows write too. */
export const outgoing = {
  of(bot) {
    try {
      const kept = JSON.parse(read(`out.${bot}`) || "[]");
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  },
  add(bot, entry) {
    write(`out.${bot}`, JSON.stringify([...this.of(bot), entry]));
  },
  change(bot, id, change) {
    write(`out.${bot}`, JSON.stringify(this.of(bot).map((entry) => (entry.id === id ? { ...entry, ...change } : entry))));
  },
  remove(bot, id) {
    const rest = this.of(bot).filter((entry) => entry.id !== id);
    write(`out.${bot}`, rest.length ? JSON.stringify(rest) : null);
  },
};
