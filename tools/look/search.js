// Search over SECTIONS (sections.js), which is loaded as a script so that it works from a folder, too.
const input = document.getElementById("search");
const found = document.getElementById("found");
const MOST = 12;

function places(words) {
  const scored = SECTIONS.map((section) => {
    const heading = section.heading.toLowerCase();
    const text = section.text.toLowerCase();
    const hits = words.map((word) => 10 * heading.includes(word) + text.split(word).length - 1);
    return { section, score: Math.min(...hits) > 0 ? hits.reduce((a, b) => a + b, 0) : 0 };
  });
  return scored.filter((place) => place.score > 0).sort((a, b) => b.score - a.score).slice(0, MOST);
}

function excerpt(text, word) {
  const start = Math.max(0, text.toLowerCase().indexOf(word) - 40);
  return (start ? "… " : "") + text.slice(start, start + 110) + (text.length > start + 110 ? " …" : "");
}

function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  const hits = words.length ? places(words) : [];
  found.replaceChildren();
  for (const { section } of hits) {
    const link = document.createElement("a");
    link.href = section.page + (section.anchor ? "#" + section.anchor : "");
    link.textContent = section.heading === section.title ? section.title : section.title + ": " + section.heading;
    const about = document.createElement("small");
    about.textContent = excerpt(section.text, words[0]);
    const line = document.createElement("li");
    line.append(link, about);
    found.append(line);
  }
  if (words.length && !hits.length) {
    found.append(Object.assign(document.createElement("li"), { textContent: "Nothing found." }));
  }
}

input.addEventListener("input", show);
