// What native functions are sent and answer: plain values as JSON, all others as seroval's nodes, which fn workers
// read and write (`fn-workers/src/seroval`). The numbers are those of seroval 1.8 (`SerovalNodeType`).
(function () {
  const { core } = __bootstrap;
  const { URL } = core.loadExtScript("ext:deno_web/00_url.js");

  const NUMBER = 0, STRING = 1, CONSTANT = 2, BIG_INT = 3, REFERENCE = 4, DATE = 5, REG_EXP = 6, SET = 7, MAP = 8;
  const ARRAY = 9, OBJECT = 10, NULL_OBJECT = 11, ERROR = 13, TYPED_ARRAY = 15, BIG_INT_ARRAY = 16, BUFFER = 19;
  const DATA_VIEW = 20, PLUGIN = 25;
  const CONSTANTS = [null, undefined, true, false, -0, Infinity, -Infinity, NaN];
  const ERRORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
  const ARRAYS = {
    Int8Array, Int16Array, Int32Array, Uint8Array, Uint16Array, Uint32Array, Uint8ClampedArray, Float32Array,
    Float64Array, BigInt64Array, BigUint64Array,
  };
  const START_ERROR = "$TSR/Error";
  const URL_TAG = "seroval-plugins/web/URL";
  // Before a text that is no plain JSON; none begins so.
  const MARK = "\0";
  // As deep as a value may be, whatever the worker allows: what is deeper would overflow the stack here.
  const MAX_DEPTH = 500;
  const ESCAPES = {
    '\\"': '"', "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\b": "\b", "\\t": "\t", "\\f": "\f", "\\x3C": "<",
    "\\u2028": "\u2028", "\\u2029": "\u2029",
  };

  const { isArray } = Array;
  const { getPrototypeOf, is, keys: ownKeys, hasOwn } = Object;

  // Whether JSON holds all of it: no other types, nothing shared, nothing undefined.
  function isPlain(value, seen, depth) {
    switch (typeof value) {
      case "string":
      case "boolean":
        return true;
      case "number":
        return Number.isFinite(value) && !is(value, -0);
      case "object":
        break;
      default:
        return false;
    }
    if (value === null) return true;
    if (depth > MAX_DEPTH || seen.has(value)) return false;
    seen.add(value);
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        if (!hasOwn(value, i) || !isPlain(value[i], seen, depth + 1)) return false;
      }
      return true;
    }
    if (getPrototypeOf(value) !== Object.prototype || typeof value.toJSON === "function") return false;
    for (const key of ownKeys(value)) if (!isPlain(value[key], seen, depth + 1)) return false;
    return true;
  }

  /** The text of an input. Throws a TypeError for what has no text. */
  function encode(value) {
    if (value === undefined) return "null";
    if (isPlain(value, new Set(), 0)) return JSON.stringify(value);
    return MARK + JSON.stringify({ t: nodeOf(value, new Map(), 0), f: 0, m: [] });
  }

  const text = (value) => value.includes("\\") ? value.replaceAll("\\", "\\\\") : value;

  function nodeOf(value, ids, depth) {
    switch (typeof value) {
      case "string":
        return { t: STRING, s: text(value) };
      case "number":
        return Number.isFinite(value) && !is(value, -0)
          ? { t: NUMBER, s: value }
          : { t: CONSTANT, s: CONSTANTS.findIndex((one) => is(one, value)) };
      case "boolean":
      case "undefined":
        return { t: CONSTANT, s: CONSTANTS.indexOf(value) };
      case "bigint":
        return { t: BIG_INT, s: String(value) };
      case "object":
        break;
      default:
        throw new TypeError(`a ${typeof value} cannot be sent to a native function`);
    }
    if (value === null) return { t: CONSTANT, s: 0 };
    if (depth > MAX_DEPTH) throw new TypeError(`a value deeper than ${MAX_DEPTH} levels cannot be sent to a native function`);
    const known = ids.get(value);
    if (known !== undefined) return { t: REFERENCE, i: known };
    const i = ids.size;
    ids.set(value, i);
    return objectNode(value, i, (inner) => nodeOf(inner, ids, depth + 1), ids);
  }

  function objectNode(value, i, inner, ids) {
    if (isArray(value)) {
      const a = new Array(value.length);
      for (let at = 0; at < value.length; at++) a[at] = hasOwn(value, at) ? inner(value[at]) : 0;
      return { t: ARRAY, i, a, o: 0 };
    }
    if (value instanceof Date) {
      return { t: DATE, i, s: Number.isNaN(value.getTime()) ? "" : value.toISOString() };
    }
    if (value instanceof RegExp) return { t: REG_EXP, i, c: text(value.source), m: value.flags };
    if (value instanceof Set) return { t: SET, i, a: Array.from(value, inner) };
    if (value instanceof Map) {
      const k = [], v = [];
      for (const [key, item] of value) {
        k.push(inner(key));
        v.push(inner(item));
      }
      return { t: MAP, i, e: { k, v } };
    }
    if (value instanceof Error) {
      const s = Math.max(0, ERRORS.findLastIndex((kind) => value instanceof kind));
      return { t: ERROR, i, s, m: text(String(value.message)) };
    }
    if (ArrayBuffer.isView(value)) return viewNode(value, i, ids);
    if (value instanceof ArrayBuffer) return bufferNode(new Uint8Array(value), i);
    if (value instanceof URL) {
      return { t: PLUGIN, i, c: URL_TAG, s: { value: { t: STRING, s: text(value.href) } } };
    }
    if (typeof value.then === "function" || typeof value.getReader === "function" || typeof value.arrayBuffer === "function") {
      const name = value.constructor?.name ?? "value";
      throw new TypeError(`a ${name} cannot be sent to a native function; await it, or send a FormData`);
    }
    if (typeof value.toJSON === "function") return inner(value.toJSON());
    // An instance of a class is sent as what it holds.
    const k = [], v = [];
    for (const key of ownKeys(value)) {
      k.push(text(key));
      v.push(inner(value[key]));
    }
    return { t: getPrototypeOf(value) === null ? NULL_OBJECT : OBJECT, i, p: { k, v }, o: 0 };
  }

  // The bytes that the view shows, and no others of its buffer.
  function viewNode(view, i, ids) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const buffer = ids.size;
    ids.set({}, buffer);
    const f = bufferNode(bytes, buffer);
    if (view instanceof DataView) return { t: DATA_VIEW, i, l: view.byteLength, f, b: 0 };
    const c = view[Symbol.toStringTag];
    return { t: c.startsWith("Big") ? BIG_INT_ARRAY : TYPED_ARRAY, i, l: view.length, c, f, b: 0 };
  }

  function bufferNode(bytes, i) {
    return { t: BUFFER, i, s: bytes.toBase64() };
  }

  /** The value of a node that a worker has written. */
  function decode(node, values = new Map()) {
    const keep = (value) => {
      values.set(node.i, value);
      return value;
    };
    switch (node.t) {
      case NUMBER:
        return node.s;
      case STRING:
        return plainText(node.s);
      case CONSTANT:
        return CONSTANTS[node.s];
      case BIG_INT:
        return BigInt(node.s);
      case REFERENCE:
        return values.get(node.i);
      case DATE:
        return keep(new Date(node.s === "" ? NaN : node.s));
      case REG_EXP:
        return keep(new RegExp(plainText(node.c), node.m));
      case SET: {
        const set = keep(new Set());
        for (const item of node.a) set.add(decode(item, values));
        return set;
      }
      case MAP: {
        const map = keep(new Map());
        const { k, v } = node.e;
        for (let at = 0; at < k.length; at++) map.set(decode(k[at], values), decode(v[at], values));
        return map;
      }
      case ARRAY: {
        const array = keep(new Array(node.a.length));
        for (let at = 0; at < node.a.length; at++) if (node.a[at] !== 0) array[at] = decode(node.a[at], values);
        return array;
      }
      case OBJECT:
      case NULL_OBJECT: {
        const object = keep(node.t === OBJECT ? {} : Object.create(null));
        const { k, v } = node.p;
        for (let at = 0; at < k.length; at++) define(object, plainText(k[at]), decode(v[at], values));
        return object;
      }
      case ERROR:
        return keep(new (ERRORS[node.s] ?? Error)(plainText(node.m)));
      case BUFFER:
        return keep(Uint8Array.fromBase64(node.s).buffer);
      case TYPED_ARRAY:
      case BIG_INT_ARRAY:
        return keep(new ARRAYS[node.c](decode(node.f, values), node.b, node.l));
      case DATA_VIEW:
        return keep(new DataView(decode(node.f, values), node.b, node.l));
      case PLUGIN:
        if (node.c === START_ERROR) return keep(new Error(decode(node.s.message, values)));
        if (node.c === URL_TAG) return keep(new URL(decode(node.s.value, values)));
    }
    throw new TypeError(`a native function answers with a node of type ${node.t}, which is not known here`);
  }

  // `__proto__` is a name as any other.
  function define(object, key, value) {
    if (key !== "__proto__") object[key] = value;
    else Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
  }

  function plainText(value) {
    if (!value.includes("\\")) return value;
    return value.replace(/\\(?:["\\nrbtf]|x3C|u2028|u2029)/g, (escape) => ESCAPES[escape]);
  }

  return { decode, encode };
})();
