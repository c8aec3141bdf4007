/* The page's own questions to the gateway over HTTP: songs, tickets, clips, the ledger.
 *
 * Invariant: what is not an answer is a WavegateError, with the gateway's code or `unreachable`. Credentials go in a
 * header, never in an address. It must not know what is shown.
 */

import { WavegateError } from './wavegate.js';

const PATIENCE = 10_000; // ms
const CLIP_PATIENCE = 60_000;

export class Rest {
  #credential;

  constructor({ key, ticket }) {
    this.#credential = key ?? ticket;
  }

  /** A page of the tenant's streams: `{streams, next}`. */
  streams(query) {
    return this.#json(`/v1/streams?${new URLSearchParams(query)}`);
  }

  stream(id) {
    return this.#json(`/v1/streams/${encodeURIComponent(id)}`);
  }

  /** This month's ledger, sums alone. */
  usage() {
    return this.#json('/v1/usage?limit=1');
  }

  /** This month's ledger as a table. */
  async ledger() {
    return (await this.#fetch('/v1/usage', { headers: { Accept: 'text/csv' } })).blob();
  }

  /** `{ticket, expires_at}`, to listen to this stream as often as one likes. */
  ticket(id, seconds) {
    const body = JSON.stringify({ stream_id: id, allow: ['listen'], ttl_seconds: seconds, uses: 0 });
    return this.#json('/v1/tickets', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
  }

  async clip(id, extension, query, signal) {
    const path = `/v1/streams/${encodeURIComponent(id)}/clip.${extension}?${new URLSearchParams(query)}`;
    return (await this.#fetch(path, { signal, patience: CLIP_PATIENCE })).blob();
  }

  async #json(path, options) {
    return (await this.#fetch(path, options)).json();
  }

  async #fetch(path, { headers, signal, patience = PATIENCE, ...options } = {}) {
    const stop = AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])]);
    const authorization = { Authorization: `Bearer ${this.#credential}` };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...authorization, ...headers }, signal: stop });
    } catch (problem) {
      throw new WavegateError({ code: signal?.aborted ? 'cancelled' : 'unreachable', message: problem.message, retryable: true });
    }
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: { code: 'unreachable' } }));
    throw new WavegateError(error);
  }
}
