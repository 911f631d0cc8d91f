/* The pages work without this file: it makes Ctrl-K, copying, fresh pages and confirmations quicker. */
"use strict";
(() => {
    const find = (selector, root = document) => root.querySelector(selector);
    const all = (selector, root = document) => [...root.querySelectorAll(selector)];

    // An answer that a person can use; nothing when the page is being left, or somebody else is signed in now.
    const get = async (url, options) => {
        const answer = await fetch(url, options).catch(() => null);
        return answer && answer.ok && !answer.redirected ? answer : null;
    };

    // --- Ctrl-K ---------------------------------------------------------------------------------------
    const quick = () => {
        const dialog = find("[data-quick]");
        if (!dialog) return;
        const input = find("input", dialog);
        const list = find("[data-quick-list]", dialog);
        let asked = 0, answered = 0, timer = 0, enter = false;
        const options = () => all("[role=option]", list);
        const chosen = () => options().find((item) => item.getAttribute("aria-selected") === "true");
        const choose = (item) => {
            options().forEach((other) => { other.setAttribute("aria-selected", String(other === item)); });
            if (item) { item.scrollIntoView({block: "nearest"}); input.setAttribute("aria-activedescendant", item.id); }
        };
        const open = () => {
            const link = chosen() && find("a", chosen());
            if (link) location.assign(link.href);
        };
        const ask = async () => {
            const mine = ++asked;
            const answer = await get(`${dialog.dataset.quick}?q=${encodeURIComponent(input.value)}`);
            const text = answer && await answer.text();
            if (mine !== asked) return;
            answered = mine;
            if (answer) list.innerHTML = text; else location.reload();
            choose(options()[0]);
            if (enter) open();
        };
        const show = () => { dialog.showModal(); input.select(); ask(); };
        all("[data-quick-open]").forEach((button) => { button.hidden = false; button.addEventListener("click", show); });
        document.addEventListener("keydown", (event) => {
            if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
                event.preventDefault();
                if (!dialog.open) show();
            }
        });
        input.addEventListener("input", () => {
            enter = false;
            ++asked; // an answer still under way is one to another question
            clearTimeout(timer);
            timer = setTimeout(ask, 120);
        });
        input.addEventListener("keydown", (event) => {
            const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
            if (!step) return;
            event.preventDefault();
            const items = options();
            choose(items[(items.indexOf(chosen()) + step + items.length) % items.length]);
        });
        find("[data-quick-form]", dialog).addEventListener("submit", (event) => {
            event.preventDefault();
            if (answered === asked) open(); else enter = true;
        });
        dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    };

    // --- copying --------------------------------------------------------------------------------------
    const copying = () => document.addEventListener("click", async (event) => {
        const button = event.target.closest("[data-copy]");
        if (!button) return;
        await navigator.clipboard.writeText(button.dataset.copy);
        button.classList.add("is-done");
        setTimeout(() => button.classList.remove("is-done"), 1500);
    });

    // --- a piece of a page that comes later, and pages that stay fresh ---------------------------------
    const pieces = () => all("[data-load]").forEach(async (place) => {
        const answer = await get(place.dataset.load);
        if (answer) place.innerHTML = await answer.text();
    });

    const fresh = () => {
        const place = find("[data-fresh]");
        if (!place) return;
        const busy = () => document.hidden || find("dialog[open]") || place.contains(document.activeElement)
            || String(getSelection());
        setInterval(async () => {
            if (busy()) return;
            const answer = await get(location.href);
            if (!answer) return;
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            all("[data-part]").forEach((part) => {
                const newer = find(`[data-part="${part.dataset.part}"]`, page);
                if (newer && !busy()) part.innerHTML = newer.innerHTML;
            });
        }, 1000 * Number(place.dataset.fresh));
    };

    // --- counts that come after the rows ---------------------------------------------------------------
    const counts = async () => {
        if (!find("[data-counts]")) return;
        const answer = await get(location.href, {headers: {"Hub-Counts": "1"}});
        if (!answer) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const counted = all("[data-count]", page);
        all("[data-count]").forEach((place, index) => { place.textContent = counted[index]?.textContent ?? ""; });
    };

    // --- filters --------------------------------------------------------------------------------------
    const filters = () => all("[data-filters]").forEach((form) => {
        form.addEventListener("change", (event) => { if (event.target.matches("select")) form.requestSubmit(); });
        form.addEventListener("formdata", (event) => {
            [...event.formData].forEach(([key, value]) => { if (!value) event.formData.delete(key); });
        });
    });

    // Unfold hides the page until its own scripts ran; a browser that paints before finds nothing to give the focus to.
    document.addEventListener("alpine:initialized", () => setTimeout(() => {
        if (document.activeElement === document.body) find("[autofocus]")?.focus();
    }));

    document.addEventListener("DOMContentLoaded", () => { quick(); copying(); pieces(); fresh(); counts(); filters(); });
})();
