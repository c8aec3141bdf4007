/* The element alone in a frame: what it plays stands in the hash, which no server is sent; how it looks in the query.
 *
 * Invariant: #stream=…&ticket=…, ?theme=light|dark, ?lang=en|zh, ?autoplay, ?format=…; nothing else is read.
 */

import './wavegate-player.js';

const player = document.querySelector('wavegate-player');

function read() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const query = new URLSearchParams(location.search);
  const language = query.get('lang') ?? navigator.language;
  document.documentElement.lang = language.startsWith('zh') ? 'zh-CN' : 'en';
  for (const name of ['theme', 'format', 'autoplay']) if (query.has(name)) player.setAttribute(name, query.get(name));
  // The ticket first: with the stream it is played, where that is wished.
  for (const name of ['ticket', 'stream']) if (hash.has(name)) player.setAttribute(name, hash.get(name));
}

read();
addEventListener('hashchange', read);
