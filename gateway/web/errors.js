/* What went wrong, as the gateway says it: a stable code, a sentence, and whether asking again may help.
 *
 * Invariant: `code` is one of the gateway's own codes, or `unreachable`, `connection_lost`, `playback_failed`,
 * which only a client can know.
 */

export class WavegateError extends Error {
  /** Takes the error object of a REST answer or a control message, and the code of a WebSocket that was closed. */
  constructor(body = {}, closeCode = null) {
    const { code = 'internal', message = '', retryable = false, retry_after_ms = null, param = null } = body;
    super(message || code.replaceAll('_', ' '));
    this.name = 'WavegateError';
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retry_after_ms;
    this.param = param;
    this.closeCode = closeCode;
  }
}
