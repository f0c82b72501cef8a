// One server-sent stream that is there while the page is looked at. The browser reconnects by itself after a broken
// connection; after an answer that ends it (too many streams, an address gone) it is opened again here. Hidden pages close
// theirs, because a browser has six connections for all its windows of one server.

const AGAIN_MS = 2000;
const HIDDEN_MS = 20000;

export class Stream {
  /** `address()` gives the URL each time it is opened; `handlers` = {event name: function(data, id)}; `onState(isOpen)`. */
  constructor(address, handlers, onState = () => {}) {
    this.address = address;
    this.handlers = handlers;
    this.onState = onState;
    this.source = null;
    this.timer = 0;
    this.onVisibility = () => this.follow();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.open();
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.drop();
  }

  drop() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  follow() {
    clearTimeout(this.timer);
    if (document.hidden) this.timer = setTimeout(() => this.drop(), HIDDEN_MS);
    else if (!this.source || this.source.readyState === EventSource.CLOSED) this.open();
  }

  open() {
    this.drop();
    const source = new EventSource(this.address());
    this.source = source;
    source.onopen = () => this.onState(true);
    source.onerror = () => {
      this.onState(false);
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.open(), AGAIN_MS);
    };
    for (const [name, handle] of Object.entries(this.handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data), event.lastEventId));
    }
  }
}
