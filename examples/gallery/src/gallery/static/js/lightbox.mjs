// Shows a picture of the wall at full size. Without it the links lead to the originals.

const dialog = document.getElementById("lightbox");
const links = [...document.querySelectorAll("#wall a")];
const image = dialog.querySelector("figure img");
const caption = dialog.querySelector("figcaption");
const place = dialog.querySelector(".lightbox-place");
const original = dialog.querySelector(".lightbox-original");
const previous = dialog.querySelector('[data-move="previous"]');
const next = dialog.querySelector('[data-move="next"]');

let current = 0;

function show(index) {
  current = Math.min(Math.max(index, 0), links.length - 1);
  const link = links[current];
  image.src = link.href;
  image.alt = link.querySelector("img").alt;
  caption.textContent = link.dataset.day;
  place.textContent = `${current + 1} / ${links.length}`;
  original.href = link.href;
  previous.hidden = current === 0;
  next.hidden = current === links.length - 1;
  for (const neighbour of [links[current + 1], links[current - 1]]) {
    if (neighbour) new Image().src = neighbour.href;
  }
}

const moves = {
  previous: () => show(current - 1),
  next: () => show(current + 1),
  close: () => dialog.close(),
};

for (const [index, link] of links.entries()) {
  link.addEventListener("click", (event) => {
    // A click meant for a new tab or a download stays a plain link.
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(index);
    dialog.showModal();
  });
}

dialog.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (button) moves[button.dataset.move]();
  else if (!event.target.closest("img, a, figcaption")) dialog.close();
});

dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") moves.previous();
  if (event.key === "ArrowRight") moves.next();
});

dialog.addEventListener("close", () => {
  image.removeAttribute("src");
  links[current].focus();
});

let touchStart = null;
dialog.addEventListener("touchstart", (event) => {
  touchStart = event.touches.length === 1 ? event.touches[0].clientX : null;
}, { passive: true });
dialog.addEventListener("touchend", (event) => {
  if (touchStart === null) return;
  const travelled = event.changedTouches[0].clientX - touchStart;
  if (Math.abs(travelled) > 50) (travelled > 0 ? moves.previous : moves.next)();
});
