// Keys and names inside a studio or a desk, of which `el` is a part: its root is the ancestor of class "cpt-keys".
// Letters and arrows stay inside, where JupyterLab would take them for commands; Ctrl+Z goes to the kernel as "undo"
// unless a field has typing of its own to take back; what has no accessible name gets one; of tabs that do not turn, the
// one that was clicked goes to the kernel as "tab".
// Lumino, below JupyterLab and Notebook 7, looks for this from a key's target upwards, and no further than to the first
// part that a shortcut is for, which may be the target itself: so the target bears it. The classic notebook, and
// JupyterLab where it listens at the end of a key's way, are kept from hearing it.
const KEPT = "data-lm-suppress-shortcuts";
const FOCUSABLE = "button, input, textarea, select, [tabindex='0'], [contenteditable='true']";
const words = (field) => field.value ?? field.textContent;
const named = (part) => part.getAttribute("aria-label") || part.labels?.[0]?.textContent || part.title || words(part);

function giveNames(root) {
  for (const sign of root.querySelectorAll("button[title]")) { // a picture has no words of its own
    if (!/\p{L}/u.test(sign.textContent) && sign.ariaLabel !== sign.title) sign.ariaLabel = sign.title;
  }
  for (const handle of root.querySelectorAll(".ui-slider-handle")) { // of ipywidgets 7, which do not say what they are
    handle.setAttribute("role", "slider");
    handle.ariaValueNow = handle.closest(".widget-slider")?.querySelector(".widget-readout")?.textContent ?? null;
  }
  for (const part of root.querySelectorAll("[role='slider'], .widget-readout")) {
    const told = part.closest(".cpt-row")?.querySelector("[data-name]")?.dataset.name;
    const name = told ?? part.closest(".widget-slider")?.querySelector("label")?.textContent;
    if (name && part.getAttribute("aria-label") !== name) part.setAttribute("aria-label", name);
    if (part.isContentEditable && !part.hasAttribute("role")) part.setAttribute("role", "textbox");
  }
}

// JupyterLab may draw an output before it is on the page, as after a reload far down a notebook. A bar of tabs that is
// drawn so never hears of the mouse or of keys.
function onClick({ target }, turn) {
  const tab = target.closest(".lm-TabBar-tab");
  if (!tab) return;
  const place = [...tab.parentElement.children].indexOf(tab);
  setTimeout(() => { // one that listens turns in its next frame
    if (tab.isConnected && !tab.matches(".lm-mod-current")) turn(place);
  }, 300);
}

function guard(root, undo, turn) {
  let last = null, name = "", before = "";
  const onFocus = ({ target }) => {
    if (target !== root) [last, name, before] = [target, named(target), words(target)];
  };
  const onKey = (event) => {
    if (!root.contains(event.target)) return;
    const held = event.ctrlKey || event.metaKey;
    const back = held && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "z";
    const plain = !held && !event.altKey && !(event.shiftKey && event.key === "Enter");
    event.target.toggleAttribute(KEPT, back || plain); // others shall run a cell
    const types = event.target.matches("input, textarea, [contenteditable='true']");
    if (back && !(types && words(event.target) !== before)) {
      event.preventDefault();
      undo();
    }
  };
  const onBubble = (event) => {
    if (event.target.hasAttribute(KEPT)) event.stopPropagation();
  };
  const onChange = () => {
    giveNames(root);
    if (last && !last.isConnected && [root, document.body].includes(document.activeElement)) {
      const again = [...root.querySelectorAll(FOCUSABLE)].find((one) => one.offsetParent && named(one) === name);
      (again ?? root).focus({ preventScroll: true }); // what had the focus is drawn anew
    }
  };
  const onTab = (event) => onClick(event, turn);
  root.tabIndex = -1;
  root.addEventListener("click", onTab);
  root.addEventListener("focusin", onFocus);
  root.addEventListener("keydown", onBubble);
  window.addEventListener("keydown", onKey, true); // before the page's own, which listens on the document
  const changes = new MutationObserver(onChange);
  changes.observe(root, { childList: true, subtree: true });
  giveNames(root);
  return () => {
    changes.disconnect();
    window.removeEventListener("keydown", onKey, true);
    root.removeEventListener("click", onTab);
    root.removeEventListener("focusin", onFocus);
    root.removeEventListener("keydown", onBubble);
  };
}

export default {
  initialize({ model }) {
    model.send({ here: true }); // the kernel puts it into the page then
  },
  render({ model, el }) {
    let end = () => {}, frame = 0;
    const begin = () => {
      const root = el.closest(".cpt-keys");
      if (root) end = guard(root, () => model.send({ undo: true }), (tab) => model.send({ tab }));
      else frame = requestAnimationFrame(begin); // it is drawn first and put into the page then
    };
    begin();
    return () => {
      cancelAnimationFrame(frame);
      end();
    };
  },
};
