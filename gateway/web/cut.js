/* The demo's scissors: cuts the page's network for a while, so that one can watch the song go on where it broke.
 *
 * Invariant: only sockets that were opened after `install` are cut, and none opens until the time is over.
 * It must not know songs: how they come back is the client's business.
 */

const sockets = new Set();
let until = 0;

// A connection that nobody answers.
class Dead extends EventTarget {
  readyState = WebSocket.CONNECTING;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  constructor() {
    super();
    setTimeout(() => this.close(), 200);
  }
  send() {}
  close() {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    const event = new CloseEvent('close', { code: 1006 });
    this.onclose?.(event);
    this.dispatchEvent(event);
  }
}

export function install() {
  const Real = globalThis.WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...given) {
      if (performance.now() < until) return new Dead();
      super(...given);
      sockets.add(this);
      this.addEventListener('close', () => sockets.delete(this));
    }
  };
}

/** No network for so many ms, from now on. */
export function cut(milliseconds) {
  until = performance.now() + milliseconds;
  for (const socket of sockets) socket.close(4999);
}
