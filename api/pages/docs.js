// Shows the OpenAPI document with Swagger UI: in the dark where that is wished for, and with forms that can be sent as they are.

const dark = matchMedia("(prefers-color-scheme: dark)");
const shade = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", shade);
shade();

const place = document.getElementById("swagger-ui");

/** A field for a file gets the example that its operation names, so that the form can be sent. */
async function fill(field) {
  if (field.dataset.filled) return;
  field.dataset.filled = "true";
  const link = field.closest(".opblock")?.querySelector('a[href^="/examples/"]');
  if (!link) return;
  const name = link.getAttribute("href").split("/").at(-1);
  const file = await (await fetch(link.href)).blob();
  if (field.files.length) return; // the user was faster
  const data = new DataTransfer();
  data.items.add(new File([file], name, { type: file.type }));
  field.files = data.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

// What Swagger UI leaves without a name for those who do not see it.
const NAMES = {
  ".copy-to-clipboard button": "Copy",
  ".close-modal": "Leave",
  "#servers": "Server",
  "textarea.body-param__text": "Request body",
  ".parameters-col_description select": "Value",
};

/** Completes what Swagger UI has just drawn. */
function complete() {
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const found of place.querySelectorAll(`${selector}:not([aria-label])`)) found.setAttribute("aria-label", name);
  }
  for (const code of place.querySelectorAll("pre:not([tabindex])")) code.tabIndex = 0; // to be scrolled with the keyboard
  // A link within a button, which opens the same operation.
  for (const link of place.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
  for (const field of place.querySelectorAll("input[type=file]")) fill(field);
}

new MutationObserver(complete).observe(place, { childList: true, subtree: true });

/** The routes as a plain list, for those who read while Swagger UI, nine tenths of all that is loaded, is under way. */
function list({ info, tags, paths }) {
  const routes = document.createElement("div");
  routes.className = "routes";
  const add = (kind, text) => (routes.appendChild(document.createElement(kind)).textContent = text);
  add("h1", info.title);
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  );
  for (const { name } of tags) {
    add("h2", name);
    for (const one of all.filter((operation) => operation.tags?.includes(name)))
      add("p", `${one.method.toUpperCase()} ${one.path}: ${one.summary}`);
  }
  place.replaceChildren(routes);
}

// The page has asked for it already.
const reading = fetch("/docs.json").then((response) => {
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
});
const loading = new Promise((go) => addEventListener("DOMContentLoaded", go)); // Swagger UI, whose script comes after this one
reading.then(list, (error) => (place.textContent = `The document /docs.json could not be loaded (${error.message}).`));
Promise.all([reading, loading]).then(([spec]) => {
  const shown = SwaggerUIBundle({
    spec,
    domNode: place,
    layout: "BaseLayout",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
    deepLinking: true,
    defaultModelsExpandDepth: 0,
  });
  shown.specActions.updateUrl("/docs.json"); // the link below the title
}, () => {}); // the failure has been shown
