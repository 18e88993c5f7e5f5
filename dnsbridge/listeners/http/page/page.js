// The status page. Facts come from /api/events and /api/lookup; all of them are put in as text, never as HTML.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const SECONDS = 120;      // of the charts
const NARROW = 640;       // pixels below which the picture of the routes is one column
const SERIES = 7;         // colours; further series are summed as "others"

let status = null;

// --- elements -------------------------------------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);

// Characters that command a terminal, turn text round or are not seen are written out.
function plain(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (each) => "\\u" + each.codePointAt(0).toString(16).padStart(4, "0"));
}

function fill(element, kinds, children) {
  if (kinds) element.setAttribute("class", kinds);
  for (const child of children) {
    if (child === null || child === undefined || child === "") continue;
    element.append(child instanceof Node ? child : plain(child));
  }
  return element;
}

function make(tag, kinds, ...children) {
  return fill(document.createElement(tag), kinds, children);
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return fill(element, null, children);
}

const named = (text, more = "") => make("span", `name ${more}`.trim(), text);
const state = (kind, text) => make("span", `state ${kind}`, text);

// Nothing is touched that shows the same already: a reader's place and selection stay.
const shown = new Map();
function show(id, facts, build) {
  const key = JSON.stringify(facts);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  byId(id).replaceChildren(...[build(facts)].flat());
}

function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

// --- words ----------------------------------------------------------------------------------------------------------

const counted = (number, one, several) => `${number.toLocaleString("en")} ${number === 1 ? one : several}`;

function rate(number) {
  return number >= 100 ? Math.round(number).toLocaleString("en") : number.toFixed(1);
}

function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const since = (at) => span(Math.max(0, (Date.parse(status.at) - Date.parse(at)) / 1000));
const clock = (at) => new Date(at).toLocaleTimeString("en-GB");

// --- the head -------------------------------------------------------------------------------------------------------

function showSummary() {
  const bad = [], warn = [];
  for (const each of status.clusters) {
    if (each.freshness === "unsynced") bad.push(`cluster ${each.name} is not read yet`);
    else if (each.freshness === "stale") bad.push(`cluster ${each.name} is stale`);
    else if (each.problem) warn.push(`cluster ${each.name}: trouble with its source`);
  }
  const down = status.upstreams.filter((each) => each.condition === "down").length;
  const zones = new Map();
  for (const each of status.upstreams) {
    const key = each.zone || `CoreDNS of ${each.cluster}`;
    zones.set(key, (zones.get(key) ?? true) && each.condition === "down");
  }
  for (const [zone, dead] of zones) if (dead) bad.push(`no upstream answers for ${zone === "." ? "all other names" : zone}`);
  if (down && ![...zones.values()].includes(true)) warn.push(`${counted(down, "upstream is", "upstreams are")} down`);
  const unrouted = (status.routes ? status.routes.prefixes : []).filter((each) => each.state === "unrouted").length;
  if (unrouted) bad.push(`${counted(unrouted, "prefix is", "prefixes are")} not routed`);
  for (const each of status.waiting_for) if (!each.startsWith("cluster")) warn.push(each);
  const all = [...bad, ...warn];
  const kind = bad.length ? "bad" : warn.length ? "warn" : "ok";
  const well = `All is well: ${counted(status.clusters.length, "cluster", "clusters")} read, ` +
    `${counted(status.upstreams.length, "upstream", "upstreams")} up`;
  const text = all.length ? all.slice(0, 3).join("; ") + (all.length > 3 ? `; and ${all.length - 3} more` : "") : well;
  byId("summary").className = `summary ${kind}`;
  setText("summary", plain(text.charAt(0).toUpperCase() + text.slice(1)));
  const workers = status.workers > 1 ? ` · ${status.workers} workers` : "";
  setText("server", plain(`${status.version} · up ${since(status.started_at)}${workers}`));
  document.title = kind === "ok" ? "dnsbridge" : "(!) dnsbridge";
}

// --- clusters, upstreams, zones -------------------------------------------------------------------------------------

const FRESH = { fresh: ["ok", "synced"], stale: ["bad", "stale"], unsynced: ["bad", "not read yet"] };

function pairs(rows) {
  const list = make("dl", "facts");
  for (const [term, ...what] of rows) if (what.some((each) => each)) list.append(make("dt", "", term), make("dd", "name", ...what));
  return list;
}

function cluster(each) {
  const [kind, word] = FRESH[each.freshness] ?? ["", each.freshness];
  const left = each.reading.filter((one) => !one.done);
  const some = (list) => list.slice(0, 4).join(", ") + (list.length > 4 ? ` and ${list.length - 4} more` : "");
  return make("article", "cluster",
    make("div", "cluster-head", make("h3", "name", each.name), state(kind, word)),
    each.problem ? make("p", "problem", each.problem) : null,
    pairs([
      ["Objects", each.objects.toLocaleString("en"), each.age_seconds === null ? "" : `, last sign of life ${span(each.age_seconds)} ago`],
      ["Zone", [each.zone, ...each.aliases].join(", ")],
      ["Services", some(each.services)],
      ["Pods", some(each.pods)],
      ["Unrouted", each.unrouted_answers ? counted(each.unrouted_answers, "answer", "answers") + " without a route" : ""],
      ["From", each.source],
    ]),
    left.length ? make("ul", "reading", ...left.map(reading)) : null);
}

function reading(one) {
  const bar = document.createElement("progress");
  bar.setAttribute("aria-label", plain(`${one.resource} read`));
  if (one.left !== null && one.read + one.left > 0) {
    bar.max = one.read + one.left;
    bar.value = one.read;
  }
  const text = one.read === 0 && one.waits_for ? one.waits_for
    : one.left === null ? `${one.read.toLocaleString("en")} read` : `${one.read.toLocaleString("en")} read, ${one.left.toLocaleString("en")} left`;
  return make("li", "", named(one.resource), bar, named(text, "quiet"));
}

const CONDITION = { up: ["ok", "up"], suspect: ["warn", "suspect"], down: ["bad", "down"] };

function table(heads, rows) {
  const head = make("tr", "", ...heads.map(([text, kind]) => {
    const cell = make("th", kind, text);
    cell.scope = "col";
    return cell;
  }));
  return make("table", "", make("thead", "", head), make("tbody", "", ...rows));
}

function spark(values) {
  const known = values.filter((each) => each !== undefined);
  const picture = draw("svg", { class: "spark", viewBox: "0 0 88 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  if (known.length < 2) return picture;
  const high = Math.max(...known) * 1.15 || 1;
  const points = values.map((each, at) => each === undefined ? null : `${(at / (SECONDS - 1) * 86 + 1).toFixed(1)} ${(19 - each / high * 18).toFixed(1)}`);
  picture.append(draw("path", { d: "M" + points.filter((each) => each).join("L") }));
  return picture;
}

function upstream(each, history) {
  const [kind, word] = CONDITION[each.condition] ?? ["", each.condition];
  const said = [each.condition !== "up" && each.problem, each.slow && "slow", each.without_edns && "without EDNS"].filter((one) => one);
  const failed = each.timeouts + each.errors;
  return make("tr", "",
    make("td", "", named(each.server, "mono"), make("div", "quiet small name", each.cluster ? `CoreDNS of ${each.cluster}` : `for ${each.zone === "." ? "all other names" : each.zone}`, said.length ? `: ${said.join(", ")}` : "")),
    make("td", "", state(each.questions ? kind : each.condition === "up" ? "" : kind, each.questions || each.condition !== "up" ? word : "not asked yet")),
    make("td", "number", spark(history)),
    make("td", "number", each.srtt_ms === null ? "–" : `${each.srtt_ms < 10 ? each.srtt_ms.toFixed(1) : Math.round(each.srtt_ms)} ms`),
    make("td", "number", failed ? counted(failed, "failure", "failures") : ""));
}

function showUpstreams() {
  const facts = status.upstreams.map((each) => [each, status.history.map((sample) => sample.rtt_ms[each.server])]);
  show("upstreams", facts, () => facts.length
    ? table([["Server", ""], ["State", ""], ["Round trip", "number"], ["", "number"], ["", "number"]], facts.map(([each, history]) => upstream(each, history)))
    : make("p", "empty", "None: names outside the clusters are refused."));
}

function showZones() {
  show("zones", status.zones, (zones) => zones.length ? table([["Zone", ""], ["Answered from", ""]], zones.map((each) => make("tr", "",
    make("td", "name", each.zone === "." ? "all other names" : each.zone),
    make("td", "quiet name",
      each.kind === "forward" ? (each.upstreams.join(", ") || "no upstream now")
        : `cluster ${each.cluster}${each.kind === "alias" ? " (alias)" : each.kind === "reverse" ? " (reverse)" : ""}`))))
    : make("p", "empty", "None."));
}

function showChanges() {
  const words = { came: "ok", went: "warn", changed: "" };
  show("changes", status.changes, (changes) => {
    if (!changes.length) return make("p", "empty", "Nothing has come or gone since the clusters were read.");
    const list = make("ol", "changes", ...changes.map((each) => {
      const time = make("time", "", clock(each.at));
      time.dateTime = each.at;
      return make("li", "", time, make("span", "", state(`${words[each.what] ?? ""} ${each.what}`, each.what)),
        make("span", "name", make("span", "quiet", `${each.kind} `), each.namespace ? `${each.namespace}/${each.name}` : each.name,
          status.clusters.length > 1 ? make("span", "quiet", ` · ${each.cluster}`) : null));
    }));
    list.tabIndex = 0;
    return list;
  });
}

// --- live charts ----------------------------------------------------------------------------------------------------

const SOURCES = ["cluster", "cache", "forward", "stale", "fallback", "server"];
const RCODES = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"];

function chart(id, field, order) {
  const history = status.history;
  const keys = new Set(history.flatMap((sample) => Object.keys(sample[field])));
  const known = [...order.filter((key) => keys.has(key)), ...[...keys].filter((key) => !order.includes(key)).sort()].slice(0, SERIES);
  const label = (key) => key || "all";
  const colour = (key) => `area-${(order.includes(key) ? order.indexOf(key) : known.indexOf(key)) % SERIES + 1}`;
  const width = byId(id).clientWidth || 480, height = 120, left = 36, bottom = 16, top = 6;
  const total = (sample) => known.reduce((sum, key) => sum + (sample[field][key] ?? 0), 0);
  const high = nice(Math.max(1, ...history.map(total)));
  const x = (at) => left + (SECONDS - history.length + at) / (SECONDS - 1) * (width - left);
  const y = (value) => top + (1 - value / high) * (height - bottom - top);
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-title` });
  for (const value of [0, high / 2, high]) {
    picture.append(draw("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }));
    picture.append(draw("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value >= 10 || value === 0 ? String(Math.round(value)) : String(value)));
  }
  picture.append(draw("text", { x: left, y: height - 2 }, "2 min ago"), draw("text", { x: width, y: height - 2, "text-anchor": "end" }, "now"));
  const base = history.map(() => 0);
  for (const key of known) {
    const lower = base.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    history.forEach((sample, at) => { base[at] += sample[field][key] ?? 0; });
    const upper = base.map((value, at) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    if (upper.length > 1) picture.append(draw("path", { class: colour(key), d: `M${upper.join("L")}L${lower.reverse().join("L")}Z` }));
  }
  byId(id).replaceChildren(picture);
  const last = status.sample ? status.sample[field] : {};
  const now = known.map((key) => [key, rate(last[key] ?? 0)]);
  show(`${id}-legend`, now, () => now.length ? now.map(([key, value]) => make("li", "",
    draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, draw("rect", { class: colour(key), width: 10, height: 10, rx: 2 })),
    label(key), " ", make("b", "", value))) : make("li", "empty", "nobody has asked in the last two minutes"));
}

// The next of 1, 2, 5, 10, 20, ... from a number on.
function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= number);
}

function showLive() {
  setText("rate", status.sample ? rate(status.sample.queries) : "–");
  chart("by-source", "answers", SOURCES);
  chart("by-rcode", "rcodes", RCODES);
}

// --- routes ---------------------------------------------------------------------------------------------------------

const ROUTED = { routed: ["ok", "routed"], unrouted: ["bad", "not routed"], unwanted: ["", "no route here"], unknown: ["", "not known"] };
const WIRE = { routed: "ok", unrouted: "bad", unwanted: "idle", unknown: "idle" };
const SIGN = { routed: "✓", unrouted: "✕", unwanted: "–", unknown: "?" };

function cut(text, pixels, size = 7.3) {
  const room = Math.max(4, Math.floor(pixels / size));
  const clean = plain(text);
  return clean.length > room ? clean.slice(0, room - 1) + "…" : clean;
}

// The rows of the picture: each node with its prefixes, and the services, which every node answers for.
function rows(routes) {
  const key = (cluster, name) => `${cluster}\n${name}`;
  const found = new Map();
  const clusters = new Set(routes.nodes.map((each) => each.cluster));
  const suffix = (cluster) => clusters.size > 1 ? ` · ${cluster}` : "";
  for (const each of routes.prefixes.filter((one) => !one.nodes.length)) {
    const at = key(each.cluster, "");
    if (!found.has(at)) found.set(at, { title: "Services" + suffix(each.cluster), sub: "on every node", ready: true, prefixes: [] });
    found.get(at).prefixes.push(each);
  }
  const gateways = routes.nodes.filter((each) => each.gateway);
  for (const each of routes.nodes) {
    found.set(key(each.cluster, each.name), { title: each.name + suffix(each.cluster), sub: each.name === each.address ? "" : each.address, ready: each.ready, node: each, prefixes: [] });
  }
  for (const each of routes.prefixes) for (const node of each.nodes) found.get(key(each.cluster, node))?.prefixes.push(each);
  const all = [...found.values()].filter((each) => each.prefixes.length || (each.node && !each.node.gateway));
  return [all, gateways];
}

const worst = (list) => ["unrouted", "unknown", "unwanted", "routed"].find((kind) => list.some((each) => each.state === kind)) ?? "unknown";

function box(x, y, width, height, kinds) {
  return draw("rect", { class: `box ${kinds}`, x, y, width, height, rx: 8 });
}

function wire(x1, y1, x2, y2, kind) {
  const bend = (x2 - x1) / 2;
  return draw("path", { class: `wire ${kind}`, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

function chip(x, y, width, each) {
  const kind = WIRE[each.state];
  return draw("g", {}, draw("title", {}, `${each.prefix} (${each.kind}), ${ROUTED[each.state][1]}: ${each.origin}`),
    draw("rect", { class: `chip ${kind}`, x, y, width, height: 24, rx: 6 }),
    draw("text", { class: `sign ${kind}`, x: x + 9, y: y + 16.5 }, SIGN[each.state]),
    draw("text", { x: x + 26, y: y + 16.5 }, cut(each.prefix, width - 90)),
    draw("text", { class: "sub", x: x + width - 8, y: y + 16.5, "text-anchor": "end" }, each.kind));
}

function nodeBox(x, y, width, height, row) {
  const kind = !row.ready ? "warn" : row.prefixes.length && worst(row.prefixes) === "unrouted" ? "bad" : row.prefixes.length && worst(row.prefixes) === "routed" ? "" : "idle";
  const middle = y + height / 2;
  return draw("g", {}, draw("title", {}, `${row.title} ${row.sub}${row.ready ? "" : ", not ready"}`), box(x, y, width, height, kind),
    draw("text", { x: x + 12, y: row.sub ? middle - 3 : middle + 5 }, cut(row.title, width - 24)),
    row.sub ? draw("text", { class: "sub", x: x + 12, y: middle + 13 }, cut(row.sub + (row.ready ? "" : " · not ready"), width - 24, 6.4)) : null);
}

function hostBox(x, y, width, height, routes) {
  return draw("g", {}, box(x, y, width, height, "here"),
    draw("text", { class: "on-here", x: x + 12, y: y + height / 2 - 3 }, cut(routes.host || "this host", width - 24, 8)),
    draw("text", { class: "sub on-here", x: x + 12, y: y + height / 2 + 13 }, cut(routes.addresses[0] ?? "this host", width - 24, 6.4)));
}

function wide(routes, width) {
  const [all, gateways] = rows(routes);
  const through = gateways.length > 0;
  const hostWidth = Math.min(170, width * 0.2), chipWidth = Math.min(270, width * 0.32), nodeWidth = Math.min(210, width * 0.22);
  const columns = through ? 4 : 3;
  const room = width - hostWidth - chipWidth - nodeWidth * (columns - 2) - 2;
  const gap = room / (columns - 1);
  const gatewayX = hostWidth + gap, nodeX = through ? gatewayX + nodeWidth + gap : gatewayX, chipX = width - chipWidth - 1;
  let y = 4;
  const places = all.map((row) => {
    const height = Math.max(48, row.prefixes.length * 30 - 6);
    const place = { row, y, height, middle: y + height / 2 };
    y += height + 16;
    return place;
  });
  const height = Math.max(y - 12, 60, gateways.length * 64);
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "The way from this host to each prefix; the same facts are in the table below" });
  const hostY = height / 2;
  const wires = draw("g", {}), boxes = draw("g", {});
  const starts = through ? gateways.map((each, at) => ({ each, y: height * (at + 0.5) / gateways.length })) : [];
  const hops = new Map(starts.map(({ each, y: at }) => [each.name, at]));
  for (const { each, y: at } of starts) {
    const behind = routes.prefixes.filter((one) => one.via.includes(each.name));
    wires.append(wire(hostWidth, hostY, gatewayX, at, !each.ready ? "bad" : behind.length ? WIRE[worst(behind)] : "idle"));
    boxes.append(nodeBox(gatewayX, at - 24, nodeWidth, 48, { title: each.name, sub: each.name === each.address ? "gateway" : `gateway · ${each.address}`, ready: each.ready, prefixes: behind }));
  }
  for (const { row, y: top, height: tall, middle } of places) {
    const kind = row.prefixes.length ? WIRE[worst(row.prefixes)] : "idle";
    const via = [...new Set(row.prefixes.flatMap((each) => each.via))].filter((name) => hops.has(name));
    if (via.length) for (const name of via) wires.append(wire(gatewayX + nodeWidth, hops.get(name), nodeX, middle, kind));
    else wires.append(wire(hostWidth, hostY, nodeX, middle, kind));
    const boxHeight = Math.min(tall, 48);
    boxes.append(nodeBox(nodeX, middle - boxHeight / 2, nodeWidth, boxHeight, row));
    const chipsTop = middle - (row.prefixes.length * 30 - 6) / 2;
    row.prefixes.forEach((each, at) => {
      const chipY = chipsTop + at * 30;
      wires.append(wire(nodeX + nodeWidth, middle, chipX, chipY + 12, WIRE[each.state]));
      boxes.append(chip(chipX, chipY, chipWidth, each));
    });
  }
  boxes.append(hostBox(1, hostY - 26, hostWidth - 1, 52, routes));
  picture.append(wires, boxes);
  return picture;
}

function narrow(routes, width) {
  const [all, gateways] = rows(routes);
  const list = [...gateways.map((each) => ({ title: each.name, sub: each.name === each.address ? "gateway" : `gateway · ${each.address}`, ready: each.ready, prefixes: [], gateway: true })), ...all];
  const wires = draw("g", {}), boxes = draw("g", {});
  let y = 68;
  for (const row of list) {
    const kind = row.gateway ? (row.ready ? "ok" : "bad") : row.prefixes.length ? WIRE[worst(row.prefixes)] : "idle";
    wires.append(draw("path", { class: `wire ${kind}`, d: `M14 52V${y + 14}Q14 ${y + 24} 24 ${y + 24}H30` }));
    boxes.append(nodeBox(30, y, width - 31, 48, row));
    row.prefixes.forEach((each, at) => {
      const top = y + 56 + at * 30;
      wires.append(draw("path", { class: `wire ${WIRE[each.state]}`, d: `M44 ${y + 48}V${top + 4}Q44 ${top + 12} 52 ${top + 12}H58` }));
      boxes.append(chip(58, top, width - 59, each));
    });
    y += 48 + row.prefixes.length * 30 + 18;
  }
  boxes.append(hostBox(1, 2, width - 2, 52, routes));
  return draw("svg", { viewBox: `0 0 ${width} ${y}`, width, height: y, role: "img", "aria-label": "The way from this host to each prefix; the same facts are in the table below" }, wires, boxes);
}

function showRoutes() {
  const routes = status.routes;
  const width = Math.floor(byId("routes-picture").clientWidth);
  if (!routes) {
    setText("routes-said", "The routes are worked out…");
    return;
  }
  const counts = {};
  for (const each of routes.prefixes) counts[each.state] = (counts[each.state] ?? 0) + 1;
  show("routes-key", counts, () => Object.entries(counts).map(([kind, number]) => make("li", "", state(ROUTED[kind][0], `${number} ${ROUTED[kind][1]}`))));
  const more = [routes.more_nodes ? counted(routes.more_nodes, "more node", "more nodes") : "", routes.more_prefixes ? counted(routes.more_prefixes, "more prefix", "more prefixes") : ""].filter((each) => each).join(" and ");
  const said = [
    routes.problem ? `${routes.problem}.` : "",
    counts.unwanted && !counts.unrouted ? "Routes are not kept on this host: no sink is set (routes.sinks), so a missing one is no fault here." : "",
    more ? `Not drawn: ${more}.` : "",
    !routes.prefixes.length && !routes.problem ? "No prefix is known yet." : "",
  ].filter((each) => each).join(" ");
  setText("routes-said", plain(said));
  show("routes-picture", [routes, width], () => routes.prefixes.length && width ? (width < NARROW ? narrow : wide)(routes, width) : []);
  show("routes-notes", routes.notes, (notes) => notes.map((note) => make("li", "", note)));
  byId("routes-more").hidden = !routes.prefixes.length;
  show("routes-table", routes.prefixes, (prefixes) => table([["Prefix", ""], ["Kind", ""], ["Node", ""], ["Next hop", ""], ["State", ""], ["Known from", ""]], prefixes.map((each) => make("tr", "",
    make("td", "name", each.prefix), make("td", "", each.kind), make("td", "name", each.nodes.join(", ") || "every node"), make("td", "name", each.via.join(", ") || "–"),
    make("td", "", state(ROUTED[each.state][0], ROUTED[each.state][1])), make("td", "quiet name", each.origin)))));
}

// --- look-up --------------------------------------------------------------------------------------------------------

const FROM = { cluster: "the cluster's objects", coredns: "the cluster's CoreDNS", forward: "the upstreams", none: "nobody" };

function answer(found) {
  const said = found.explanation;
  const records = said.records.filter((each) => each.section !== "additional");
  const chain = said.links.length ? make("ol", "", ...said.links.map((link) => make("li", "small name", link.target ? `${link.name} → ${link.target}` : link.name, make("span", "quiet", ` ${link.because}`)))) : null;
  return make("div", "",
    make("h3", "", "The answer"),
    pairs([
      ["Name", `${said.name} ${said.type}`],
      ["From", (FROM[said.source] ?? said.source) + (said.cluster ? ` (cluster ${said.cluster})` : "")],
      ["Because", said.because],
      ["Objects", said.objects.map((each) => `${each.kind} ${each.namespace}/${each.name}`).join(", ")],
    ]),
    chain,
    records.length ? table([["Name", ""], ["TTL", "number"], ["Type", ""], ["Data", ""]], records.map((each) => make("tr", "", make("td", "name small", each.name), make("td", "number", each.ttl), make("td", "", each.type), make("td", "name mono", each.data)))) : make("p", "empty", "No record."));
}

function chainOf(found) {
  const links = found.chain.map((link) => {
    const item = make("li", link.state, make("span", "link", link.link, make("span", "visually-hidden", `: ${link.state}`)), named(link.evidence));
    if (link.state === "failed") {
      item.append(make("div", "failed-why", make("strong", "", link.cause), make("div", "", "Mend: ", make("code", "name", link.mend))));
    }
    return item;
  });
  const broken = found.chain.filter((each) => each.state === "failed");
  return make("div", "",
    make("h3", "", "The chain to the service"),
    links.length ? make("ol", "chain", ...links) : make("p", "empty", "The chain is that of addresses: look up A or AAAA."),
    make("p", "small quiet", broken.length ? "For the links that are not seen from here, on the host where the name does not work:" : "If it does not work all the same, on the host where it does not:"),
    make("code", "command", found.command));
}

function verdict(found) {
  const said = found.explanation;
  const broken = found.chain.find((each) => each.state === "failed");
  const kind = said.failed ? "bad" : said.rcode === "NXDOMAIN" ? "warn" : "ok";
  const text = broken ? `${broken.link}: ${broken.cause}` : said.rcode === "NXDOMAIN" ? "There is no such name" : said.failed ? "There is no answer" : "It resolves, and no link is broken as far as it can be seen from here";
  return make("p", "verdict", state(kind, said.rcode), broken ? state("bad", "broken") : null, make("strong", "name", text));
}

let asked = 0;
async function lookUp(event) {
  event.preventDefault();
  const name = byId("lookup-name").value.trim();
  if (!name) {
    byId("lookup-name").focus();
    return;
  }
  const number = ++asked;
  const target = byId("found");
  target.replaceChildren(make("p", "quiet", "Looking…"));
  const type = byId("lookup-type").value;
  let result;
  try {
    const response = await fetch(`/api/lookup?name=${encodeURIComponent(name)}${type ? `&type=${encodeURIComponent(type)}` : ""}`);
    if (!response.ok) throw new Error((await response.text()).trim());
    const found = await response.json();
    result = [verdict(found), make("div", "columns", answer(found), chainOf(found))];
  } catch (error) {
    result = [make("p", "problem", error.message || "the server does not answer")];
  }
  if (number === asked) target.replaceChildren(...result);
}

// --- the status as it changes ---------------------------------------------------------------------------------------

function showAll() {
  showSummary();
  showLive();
  show("clusters", status.clusters, (clusters) => clusters.length ? clusters.map(cluster) : make("p", "empty", "No cluster is configured."));
  showUpstreams();
  showRoutes();
  showChanges();
  showZones();
}

let events = null;
let again = 0;

function connect() {
  clearTimeout(again);
  if (events || document.hidden) return;
  events = new EventSource("/api/events");
  events.addEventListener("status", (event) => {
    status = JSON.parse(event.data);
    showAll();
  });
  events.addEventListener("change", (event) => {
    if (!status) return;
    const change = JSON.parse(event.data);
    Object.assign(status, change);
    if (change.sample) status.history = [...status.history, change.sample].slice(-SECONDS);
    showAll();
  });
  events.addEventListener("error", () => {
    disconnect();
    byId("summary").className = "summary bad";
    setText("summary", "The server does not answer; what is shown is old. Trying again…");
    again = setTimeout(connect, 3000);
  });
}

function disconnect() {
  if (events) events.close();
  events = null;
}

// A browser opens few connections to one server, so a page that nobody sees gives its own back.
document.addEventListener("visibilitychange", () => document.hidden ? disconnect() : connect());
byId("lookup").addEventListener("submit", lookUp);
new ResizeObserver(() => status && showRoutes()).observe(byId("routes-picture"));
connect();
