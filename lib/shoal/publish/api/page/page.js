// The page asks the API that it is served from, and shows what it answers. Text is set as text: no answer becomes markup.
"use strict";

const at = (id) => document.getElementById(id);
let token = sessionStorage.getItem("shoal-token") || "";

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers });
  const body = await answer.json();
  if (answer.status === 401 || answer.status === 403) at("token-label").hidden = false;
  if (!answer.ok) throw new Error(body.error ? body.error.message : `status ${answer.status}`);
  return body;
}

function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null);
  return `${path}?${new URLSearchParams(given)}`;
}

function element(kind, text, name) {
  const made = document.createElement(kind);
  if (text !== undefined && text !== null) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function cards(place, items, why) {
  place.replaceChildren(...items.map((item, i) => {
    const button = element("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(element("span", i + 1, "place"), element("span", item.title || item.item_id, "title"));
    const said = why(item);
    if (said) button.append(element("span", said, "why"));
    button.addEventListener("click", () => showSimilar(item, button));
    const row = element("li");
    row.append(button);
    return row;
  }));
  if (!items.length) place.replaceChildren(element("li", "Nothing.", "quiet"));
}

const about = (item) => [item.kind_of_item, ...(item.categories || []).slice(0, 3)].filter(Boolean).join(" · ");

async function guarded(work) {
  at("fault").hidden = true;
  try {
    await work();
  } catch (error) {
    at("fault").textContent = error.message;
    at("fault").hidden = false;
  }
}

async function showSimilar(item, button) {
  await guarded(async () => {
    const found = await ask(query(`/similar/${encodeURIComponent(item.item_id)}`, { k: 8, details: true }));
    document.querySelectorAll(".cards button[aria-pressed='true']").forEach((each) => each.setAttribute("aria-pressed", "false"));
    button.setAttribute("aria-pressed", "true");
    at("similar-of").textContent = `Near to ${item.title || item.item_id}`;
    cards(at("similar"), found.items, (each) => `${each.kind} ${each.similarity.toFixed(2)} · ${about(each)}`);
  });
}

const SOURCES = {
  list: "The user's own list.", session: "The user's list, re-ranked by the newest events.",
  popularity: "No list is known for this user: popular items.",
};

async function showUser() {
  const user = at("user").value.trim();
  if (!user) return;
  await guarded(async () => {
    const wanted = { user_id: user, k: at("k").value, category: at("category").value.trim(), details: true };
    const list = await ask(query("/recommendations", wanted));
    at("list-source").textContent = SOURCES[list.source] + (list.stale ? " The store is away: read before." : "");
    cards(at("list"), list.items, (item) => item.reason || about(item));
    await showPerson(user);
  });
}

async function showPerson(user) {
  const place = at("person");
  place.replaceChildren();
  const say = (name, text) => { if (text) place.append(element("dt", name), element("dd", text)); };
  let person;
  try {
    person = await ask(`/people/${encodeURIComponent(user)}`);
  } catch (error) {
    place.append(element("dd", error.message));
    return;
  }
  say("Segment", person.segment && person.segment.segment_name);
  say("Community", person.community && person.community.community_id);
  say("Influence", person.influence && `place ${person.influence.rank} by PageRank on follows`);
  say("Interests", (person.interests || []).slice(0, 6).map((each) => each.topic).join(", "));
  say("To follow", (person.follows || []).slice(0, 5).map((each) => each.user_id).join(", "));
}

async function start() {
  await guarded(async () => {
    const ready = await ask("/ready");
    at("version").textContent = `version ${ready.version}${ready.stale ? ", store away" : ""}`;
    const trends = await ask(query("/trending", { k: 10, details: true }));
    cards(at("trending"), trends.items, (item) => `${item.events} events · ${about(item)}`);
  });
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (at("token").value) {
    token = at("token").value;
    sessionStorage.setItem("shoal-token", token);
    start();
  }
  history.replaceState(null, "", `#${encodeURIComponent(at("user").value.trim())}`);
  showUser();
});
at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    const found = await ask(query("/search", { q: at("words").value, k: 12 }));
    at("matches").textContent = `${found.matches} items`;
    cards(at("found"), found.items, about);
  });
});

start();
if (location.hash.length > 1) {
  at("user").value = decodeURIComponent(location.hash.slice(1));
  showUser();
}
