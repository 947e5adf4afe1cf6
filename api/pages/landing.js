// The curl lines name the address under which this page was reached.
for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
