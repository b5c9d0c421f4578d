//! Where Deno's scripts throw what a permission refuses at a place that no caller reaches, or do not expect that an app
//! may not have something: changed as little as it takes, and with an error of the build where a script is not as it was.

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
