// What `import` finds in CommonJS: the names that Node's own analysis finds, and what is left to `default`.
import assert from "node:assert";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export default {
  "exports of every spelling are named": async () => {
    const { default: all, ...named } = await import("spellings");
    delete named["module.exports"];
    assert.deepEqual(Object.keys(named).sort(), ["assigned", "defined", "getter", "literal", "string name"]);
    assert.equal(all.getter, "got");
  },
  "re-exports: require, spread, TypeScript's __exportStar, a conditional build": async () => {
    assert.equal((await import("reexports")).assigned, 1);
    const star = await import("reexports/star");
    assert.deepEqual([star.assigned, star.own], [1, 2]);
    assert.equal((await import("reexports/conditional")).assigned, 1);
    assert.equal((await import("reexports/spread")).default.assigned, 1);
  },
  "__esModule: named, and default as Node has it": async () => {
    const compiled = await import("compiled");
    assert.equal(compiled.named, "n");
    assert.equal(compiled.default.default, "d");
    assert.equal(require("compiled").default, "d");
  },
  "functions, classes and values as module.exports": async () => {
    assert.equal((await import("callable")).default(2), 4);
    assert.equal((await import("callable")).helper, "h");
    assert.equal((await import("callable/value")).default, 7);
  },
  "cycles see what was exported so far": () => {
    assert.deepEqual(require("cyclic"), { early: 1, seen: 1, late: 2 });
  },
  "require of a module with top-level await is ERR_REQUIRE_ASYNC_MODULE": () => {
    assert.throws(() => require("awaits"), { code: "ERR_REQUIRE_ASYNC_MODULE" });
  },
  "require.resolve, require.cache, module.paths, __filename": () => {
    assert.match(require.resolve("callable"), /node_modules\/callable\/index\.js$/);
    assert.equal(require.cache[require.resolve("cyclic")].loaded, true);
    assert.throws(() => require.resolve("absent"), { code: "MODULE_NOT_FOUND" });
    assert.throws(() => require("callable/hidden"), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
  },
  "self-reference, imports with #, conditions": async () => {
    assert.equal((await import("conditions")).self, "node import");
    assert.equal(require("conditions").self, "node require");
  },
  "JSON modules, with the attribute": async () => {
    const { default: data } = await import("spellings/package.json", { with: { type: "json" } });
    assert.equal(data.name, "spellings");
  },
};
