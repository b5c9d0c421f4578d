//! Where Deno's scripts are not as the standards have it, are slow, throw what a permission refuses at a place that no
//! caller reaches, or do not expect that an app may not have something: changed as little as it takes, and with an error
//! of the build where a script is not as it was.

use deno_error::JsErrorBox;

/// A script and its changes.
struct Script {
    name: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

/// A call that throws what Node throws where it was built without an inspector.
const REFUSE_INSPECTOR: &str = "(() => { throw Object.assign(new Error(\"Inspector is not available: apps do not open \
    it, their operator does\"), { code: \"ERR_INSPECTOR_NOT_AVAILABLE\" }); })(";

const SCRIPTS: &[Script] = &[
    // `listen` looks the address up first; what is refused then is the server's `error` event, as other failures are.
    Script {
        name: "ext:deno_node/net.ts",
        changes: &[(
            "function _listenInCluster(",
            "function _listenInCluster(server, ...rest) {
               try { return _listenWherePermitted(server, ...rest); } catch (error) {
                 if (error?.code !== \"ERR_ACCESS_DENIED\") throw error;
                 queueMicrotask(() => server.emit(\"error\", error));
               }
             }
             function _listenWherePermitted(",
        )],
    },
    Script {
        name: "ext:deno_node/dgram.ts",
        changes: &[(
            "const err = state.handle.bind(ip, port || 0, flags);",
            "let err;
                 try { err = state.handle.bind(ip, port || 0, flags); } catch (error) {
                   if (error?.code !== \"ERR_ACCESS_DENIED\") throw error;
                   state.bindState = BIND_STATE_UNBOUND;
                   this.emit(\"error\", error);
                   return;
                 }",
        )],
    },
    // An op of our own, see `src/isolate/encoding.rs`.
    Script {
        name: "ext:deno_web/08_text_encoding.js",
        changes: &[
            ("  op_encoding_encode_into,\n", "  op_encode_into,\n"),
            (
                "const packed = op_encoding_encode_into(source, destination);
    if (packed === ENCODE_INTO_PACKED_SENTINEL) {",
                "const answer = op_encode_into(source, destination);
    if (answer >= 0) return { read: answer, written: answer };
    const packed = -answer;
    if (answer === ENCODE_INTO_PACKED_SENTINEL) {",
            ),
        ],
    },
    // A `Map` whose table was replaced keeps what it held until V8 collects the whole heap, and with a timer all that
    // its function sees.
    Script {
        name: "ext:deno_node/internal/timers.mjs",
        changes: &[
            ("const activeTimers = new SafeMap();", "const activeTimers = { __proto__: null };"),
            ("MapPrototypeGet(activeTimers, id)", "activeTimers[id]"),
            ("new SafeMapIterator(activeTimers)", "primordials.ObjectEntries(activeTimers)"),
            ("MapPrototypeSet(activeTimers, id, this);", "activeTimers[id] = this;"),
            ("MapPrototypeDelete(activeTimers, self[kTimerId]);", "delete activeTimers[self[kTimerId]];"),
            ("MapPrototypeDelete(activeTimers, this[kTimerId]);", "delete activeTimers[this[kTimerId]];"),
            ("MapPrototypeDelete(activeTimers, timeout[kTimerId]);", "delete activeTimers[timeout[kTimerId]];"),
        ],
    },
    // Fetch, section 5.4 (the Request constructor), steps 5.3 and 39.2.
    Script {
        name: "ext:deno_fetch/23_request.js",
        changes: &[
            (
                "const { URL } = core.loadExtScript(\"ext:deno_web/00_url.js\");",
                "const { URL } = core.loadExtScript(\"ext:deno_web/00_url.js\");
                 const { ReadableStreamPrototype } = core.loadExtScript(\"ext:deno_web/06_streams.js\");",
            ),
            (
                "const parsedURL = new URL(input, baseURL);",
                "const parsedURL = new URL(input, baseURL);
                 if (parsedURL.username !== \"\" || parsedURL.password !== \"\") {
                   throw new TypeError(
                     \"Request cannot be constructed from a URL that includes credentials: \" + input,
                   );
                 }",
            ),
            (
                "const res = extractBody(init.body);",
                "if (
                   init.duplex === undefined &&
                   (ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, init.body) ||
                     init.body[webidl.AsyncSequence] === webidl.AsyncSequence)
                 ) {
                   throw new TypeError(\"RequestInit: duplex option is required when sending a body.\");
                 }
                 const res = extractBody(init.body);",
            ),
            (
                "    { key: \"priority\", converter",
                "    { key: \"duplex\", converter: webidl.createEnumConverter(\"RequestDuplex\", [\"half\"]) },
                 { key: \"priority\", converter",
            ),
            (
                "  get keepalive() {",
                "  get duplex() {
                   webidl.assertBranded(this, RequestPrototype);
                   return \"half\";
                 }
                 get keepalive() {",
            ),
        ],
    },
    // XMLHttpRequest, section 5 (overloads of append and set); HTML, section 4.10.21.8 (what is escaped in a name); RFC
    // 7578, section 4.2 (quoted strings, which may hold what else separates), and RFC 2046, section 5.1.1 (the last
    // delimiter must be there).
    Script {
        name: "ext:deno_fetch/21_formdata.js",
        changes: &[
            (
                "    } else {
      valueOrBlobValue = webidl.converters[\"USVString\"](",
                "    } else {
      if (arguments.length > 2) {
        throw webidl.makeException(TypeError, \"is not a Blob, which a file name needs\", prefix, \"Argument 2\");
      }
      valueOrBlobValue = webidl.converters[\"USVString\"](",
            ),
            (
                "  const values = ArrayPrototypeSlice(StringPrototypeSplit(value, \";\"), 1);",
                "  const values = ArrayPrototypeSlice(splitOutsideQuotes(value), 1);",
            ),
            (
                "    const entries = StringPrototypeSplit(StringPrototypeTrim(values[i]), \"=\");
    if (entries.length > 1) {
      MapPrototypeSet(
        params,
        entries[0],
        StringPrototypeReplace(entries[1], QUOTE_CONTENT_PATTERN, \"$1\"),
      );
    }",
                "    const entry = StringPrototypeTrim(values[i]);
    const equals = StringPrototypeIndexOf(entry, \"=\");
    if (equals > 0) {
      MapPrototypeSet(
        params,
        StringPrototypeSlice(entry, 0, equals),
        unescaped(StringPrototypeReplace(StringPrototypeSlice(entry, equals + 1), QUOTE_CONTENT_PATTERN, \"$1\")),
      );
    }",
            ),
            (
                "function parseContentDisposition(value) {",
                "function splitOutsideQuotes(value) {
  const parts = [];
  let start = 0;
  let isQuoted = false;
  for (let i = 0; i < value.length; i++) {
    const character = value[i];
    if (character === '\"') isQuoted = !isQuoted;
    if (character === \";\" && !isQuoted) {
      ArrayPrototypePush(parts, StringPrototypeSlice(value, start, i));
      start = i + 1;
    }
  }
  ArrayPrototypePush(parts, StringPrototypeSlice(value, start));
  return parts;
}
const ESCAPED_PATTERN = new SafeRegExp(/%0A|%0D|%22/gi);
const UNESCAPED = ObjectFreeze({ \"%0A\": \"\\n\", \"%0D\": \"\\r\", \"%22\": '\"' });
function unescaped(name) {
  return StringPrototypeReplace(name, ESCAPED_PATTERN, (c) => UNESCAPED[primordials.StringPrototypeToUpperCase(c)]);
}
function parseContentDisposition(value) {",
            ),
            (
                "          if (delimiter.type === 2) {
            break;
          }",
                "          if (delimiter.type === 2) {
            return formData;
          }",
            ),
            (
                "    return formData;
  }
}",
                "    throw new TypeError(\"Unable to parse body as form data: its last delimiter is missing\");
  }
}",
            ),
        ],
    },
    // Its ops expect an inspector, which a permission alone would not make.
    Script {
        name: "ext:deno_node/inspector.js",
        changes: &[
            ("op_inspector_open(", REFUSE_INSPECTOR),
            ("op_inspector_connect(", REFUSE_INSPECTOR),
            ("op_inspector_wait(", REFUSE_INSPECTOR),
        ],
    },
    // A core dump would take neighbours along: `abort()` ends its isolate, with the exit code of a process that aborts.
    Script { name: "node:process", changes: &[("op_process_abort();", "Deno.exit(134);")] },
];

/// The script with its changes, its types gone already.
///
/// # Errors
/// When a place to be changed is not there.
pub fn applied(name: &str, mut code: String) -> Result<String, JsErrorBox> {
    let Some(script) = SCRIPTS.iter().find(|script| script.name == name) else { return Ok(code) };
    for (place, change) in script.changes {
        if !code.contains(place) {
            return Err(JsErrorBox::generic(format!("{name} has no `{place}` any more")));
        }
        code = code.replace(place, change);
    }
    Ok(code)
}
