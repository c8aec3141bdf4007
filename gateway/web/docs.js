// What the page of the documents does beside being read: it narrows the contents to a word, and folds them on phones.
// Invariant: without this file the page says everything that it says with it.

const query = document.querySelector('#query');
const contents = document.querySelector('#contents');
const entries = [...contents.querySelectorAll('li')];

function narrow() {
  const words = query.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const entry of entries) {
    const text = entry.textContent.toLowerCase();
    entry.hidden = !words.every((word) => text.includes(word));
    found += !entry.hidden;
  }
  document.querySelector('#nothing').hidden = found > 0;
}

document.querySelector('#filter').hidden = false;
query.addEventListener('input', narrow);

const narrowScreen = matchMedia('(max-width: 959px)');
if (narrowScreen.matches) contents.open = false;
narrowScreen.addEventListener('change', (event) => { contents.open = !event.matches; });
contents.addEventListener('click', (event) => {
  if (narrowScreen.matches && event.target.closest('a')) contents.open = false;
});
