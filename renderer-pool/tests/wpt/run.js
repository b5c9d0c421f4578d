// Answers with the names of what fails in each of web-platform-tests' data files.
import base64 from "./base64.json" with { type: "json" };
import dataUrls from "./data-urls.json" with { type: "json" };
import patterns from "./urlpatterntestdata.json" with { type: "json" };
import setters from "./setters_tests.json" with { type: "json" };
import urls from "./urltestdata.json" with { type: "json" };

const same = (left, right) => JSON.stringify(left) === JSON.stringify(right);
const throws = (run, name) => {
  try {
    run();
    return false;
  } catch (error) {
    return name === undefined || error.name === name;
  }
};

const PARTS = ["href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

function constructs({ input, base, failure, ...expected }) {
  const make = () => base === null ? new URL(input) : new URL(input, base);
  if (failure) return throws(make, "TypeError");
  const url = make();
  if (expected.origin !== undefined && url.origin !== expected.origin) return false;
  if (expected.searchParams !== undefined && String(url.searchParams) !== expected.searchParams) return false;
  return PARTS.every((part) => expected[part] === undefined || url[part] === expected[part]);
}

function sets(part, { href, new_value, expected }) {
  const url = new URL(href);
  url[part] = new_value;
  return Object.entries(expected).every(([name, value]) => url[name] === value);
}

// urlpattern/resources/urlpattern.js, `runTests`.
const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

function compiles({ pattern, expected_obj }) {
  if (expected_obj === "error") return throws(() => new URLPattern(...pattern), "TypeError");
  const made = new URLPattern(...pattern);
  return COMPONENTS.every((name) => expected_obj?.[name] === undefined || made[name] === expected_obj[name]);
}

function matches(entry) {
  const { pattern, inputs, expected_obj, expected_match } = entry;
  if (expected_obj === "error") return compiles(entry);
  const made = new URLPattern(...pattern);
  if (inputs === undefined) return compiles(entry);
  if (expected_match === "error") return throws(() => made.test(...inputs), "TypeError");
  const found = made.exec(...inputs);
  if (made.test(...inputs) !== (expected_match !== null && expected_match !== undefined)) return false;
  if (expected_match === null || expected_match === undefined) return found === null;
  const expectedInputs = expected_match.inputs ?? inputs;
  if (!same(found.inputs, expectedInputs)) return false;
  return COMPONENTS.every((name) => {
    const expected = expected_match[name];
    if (expected === undefined) return true;
    if (found[name].input !== expected.input) return false;
    const groups = Object.entries(expected.groups).map(([key, value]) => [key, value ?? undefined]);
    return groups.every(([key, value]) => found[name].groups[key] === value);
  });
}

const decodes = ([input, output]) =>
  output === null
    ? throws(() => atob(input), "InvalidCharacterError")
    : same([...atob(input)].map((character) => character.charCodeAt(0)), output);

async function fetches([url, type, bytes]) {
  if (type === null) return fetch(url).then(() => false, (error) => error.name === "TypeError");
  const response = await fetch(url);
  return response.headers.get("content-type") === type && same([...new Uint8Array(await response.arrayBuffer())], bytes);
}

async function failures(entries, run, name) {
  const failed = [];
  for (const entry of entries) {
    const passed = await (async () => run(entry))().catch(() => false);
    if (!passed) failed.push(name(entry));
  }
  return { run: entries.length, failed };
}

export default {
  async fetch(request) {
    if (request.headers.has("x-isopod-warmup")) return new Response();
    const entries = (list) => list.filter((entry) => typeof entry === "object");
    const ofSetters = Object.entries(setters).flatMap(([part, list]) =>
      Array.isArray(list) && part !== "comment" ? list.map((entry) => ({ part, ...entry })) : []
    );
    return Response.json({
      URL: await failures(entries(urls), constructs, ({ input, base }) => JSON.stringify([input, base])),
      "URL's setters": await failures(ofSetters, (entry) => sets(entry.part, entry), (entry) =>
        JSON.stringify([entry.part, entry.href, entry.new_value])),
      URLPattern: await failures(entries(patterns), matches, ({ pattern, inputs }) => JSON.stringify([pattern, inputs])),
      atob: await failures(base64, decodes, ([input]) => JSON.stringify(input)),
      "data: URLs": await failures(dataUrls, fetches, ([url]) => JSON.stringify(url)),
    });
  },
};
