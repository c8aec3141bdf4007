/* An EventTarget with `on`, for whoever wants the detail and a way to stop; songs and gateways are such. */

export class Emitter extends EventTarget {
  /** Calls `listener` with the detail of every such event. Returns a function that ends it. */
  on(name, listener) {
    const hear = ({ detail }) => listener(detail);
    this.addEventListener(name, hear);
    return () => this.removeEventListener(name, hear);
  }

  tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
