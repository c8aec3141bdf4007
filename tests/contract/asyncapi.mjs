// Asks AsyncAPI's own parser about documents: `node asyncapi.mjs FOLDER-OF-THE-PARSER DOCUMENT...`.
// Prints a JSON list of what it finds wrong, one line a document.

import { createRequire } from 'node:module';

const [folder, ...paths] = process.argv.slice(2);
const { Parser, fromFile } = createRequire(import.meta.url)(folder);
for (const path of paths) {
  const { document, diagnostics } = await fromFile(new Parser(), path).parse();
  // That a newer version of AsyncAPI exists is no mistake.
  const wrong = diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version');
  const said = wrong.map(({ code, message, path: where }) => `${code} ${message} ${where.join('.')}`);
  console.log(JSON.stringify(document ? said : ['could not be taken', ...said]));
}
