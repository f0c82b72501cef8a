// What a message of the bot has below its text: buttons to press, addresses to open, files to save.
// Labels, names and addresses are the bot's, so they go in as text, and only addresses that a browser may open become links.

import { element } from "./format.js";

const SCHEMES = ["http:", "https:", "mailto:"];

/** Fill `box` anew; who has a button focused keeps the focus on the one of that label, or on the first. */
export function showExtras(box, bot, buttons, files, onPress) {
  const focused = box.contains(document.activeElement) ? document.activeElement.textContent : null;
  const rows = buttons.map((row) => element("div", { className: "presses", role: "group", ariaLabel: "Buttons" }, ...row.map((one) => press(one, onPress))));
  box.replaceChildren(...files.map((file) => saved(bot, file)), ...rows);
  box.hidden = !box.children.length;
  if (focused === null) return;
  const all = [...box.querySelectorAll("button")];
  const next = all.find((button) => button.textContent === focused) || all[0] || document.getElementById("text");
  next.focus();
}

function press(button, onPress) {
  if (button.data) return element("button", { type: "button", textContent: button.label, onclick: () => onPress(button) });
  if (!canOpen(button.url)) return element("span", { textContent: `${button.label} ${button.url}` });
  return element("a", { href: button.url, target: "_blank", rel: "noopener noreferrer nofollow", textContent: button.label });
}

function canOpen(url) {
  try {
    return SCHEMES.includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

/** A link that saves a file; its path is the one that the web process serves it under. */
function saved(bot, file) {
  return element("a", { className: "file", href: `/chat/${bot}/${file.path}`, download: file.name, textContent: file.name });
}
