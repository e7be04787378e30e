"use strict";
// A page that is being read stays as it is: what comes meanwhile waits until pointer and
// focus have left the part that changes, no text in it is selected, and its top is seen.
(() => {
  const part = document.getElementById("live");
  if (!part) return;
  const note = document.getElementById("held");
  const reading = () => {
    const selection = document.getSelection();
    return !!part.querySelector("table:hover, a:focus, summary:focus, button:focus") || window.scrollY > part.offsetTop + 200 ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  };
  let goOn = [];
  const look = () => {
    const held = reading();
    if (note) note.hidden = !(held && goOn.length);
    if (!held) { goOn.forEach((f) => f()); goOn = []; }
  };
  document.addEventListener("htmx:sse:before:message", (event) => {
    if (reading()) {
      event.detail.waitUntil(new Promise((resolve) => goOn.push(resolve)));
      look();
    }
  });
  for (const what of ["pointerover", "focusin", "focusout", "scroll", "selectionchange", "visibilitychange"]) {
    document.addEventListener(what, look, { passive: true });
  }
})();
