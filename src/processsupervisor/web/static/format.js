// How values are shown, and the one way elements are made. Text only ever goes in as text.

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Change the text of a node only when it is another: a list that is redrawn all the time cannot be read or selected. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function bytes(count) {
  if (typeof count !== "number") return null;
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function day(at) {
  const then = new Date(at * 1000);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(then).setHours(0, 0, 0, 0)) / 86400e3);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return then.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

export function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** A colour of its own for each name, the same on every visit. */
export function hue(name) {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 3600;
  return sum % 360;
}

export function paintFace(node, name) {
  setText(node, name.slice(0, 1));
  node.style.setProperty("--hue", hue(name));
}

const TONES = {
  RUNNING: "good",
  INITIALIZING: "busy", STARTING: "busy", RESTARTING: "busy", RECOVERING: "busy", STOPPING: "busy",
  PAUSING: "hold", PAUSED: "hold", RESUMING: "hold",
  STOPPED: "rest", TERMINATED: "rest",
  FAILED: "bad", UNKNOWN: "odd",
};

export function paintState(node, bot) {
  const state = bot.state || "not known";
  const shown = state.charAt(0) + state.slice(1).toLowerCase();
  const isUnwell = bot.state === "RUNNING" && bot.health && !["healthy", "unknown", "ok"].includes(bot.health);
  setText(node, isUnwell ? `${shown}, ${bot.health}` : shown);
  node.dataset.tone = isUnwell ? "busy" : TONES[bot.state] || "rest";
  node.title = bot.reason ? `${shown}: ${bot.reason}` : shown;
}
