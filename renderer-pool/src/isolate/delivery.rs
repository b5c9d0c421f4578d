//! The border to JavaScript: calls the boot script's functions with what came over the links.

use bytes::Bytes;
use deno_core::{JsRuntime, v8};
use shared::head::HeaderField;
use shared::message::{AnswerKind, Outcome};

use super::job::Event;
use crate::watchdog::probe::Probe;

/// The functions that the boot script handed over; see `boot/jobs.js`.
pub struct Handlers {
    start: v8::Global<v8::Function>,
    body: v8::Global<v8::Function>,
    body_end: v8::Global<v8::Function>,
    body_failed: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
    cancel: v8::Global<v8::Function>,
    writable: v8::Global<v8::Function>,
    reply: v8::Global<v8::Function>,
    reply_begins: v8::Global<v8::Function>,
    reply_body: v8::Global<v8::Function>,
    reply_ends: v8::Global<v8::Function>,
    set_app: v8::Global<v8::Function>,
    warm: v8::Global<v8::Function>,
    create_pipeline: v8::Global<v8::Function>,
    serving: v8::Global<v8::Function>,
    take_metrics: v8::Global<v8::Function>,
}

impl Handlers {
    /// Takes the functions out of the boot script's result.
    ///
    /// # Errors
    /// Which function is missing: the boot script and this file do not fit.
    pub fn from_object(js: &mut JsRuntime, object: &v8::Global<v8::Value>) -> Result<Self, String> {
        deno_core::scope!(scope, js);
        let object = v8::Local::new(scope, object)
            .to_object(scope)
            .ok_or_else(|| "the boot script returned no object".to_owned())?;
        let function = |name: &str| {
            v8::String::new(scope, name)
                .and_then(|key| object.get(scope, key.into()))
                .and_then(|value| v8::Local::<v8::Function>::try_from(value).ok())
                .map(|function| v8::Global::new(scope, function))
                .ok_or_else(|| format!("the boot script has no function `{name}`"))
        };
        Ok(Self {
            start: function("start")?,
            body: function("body")?,
            body_end: function("bodyEnd")?,
            body_failed: function("bodyFailed")?,
            abort: function("abort")?,
            cancel: function("cancel")?,
            writable: function("writable")?,
            reply: function("reply")?,
            reply_begins: function("replyBegins")?,
            reply_body: function("replyBody")?,
            reply_ends: function("replyEnds")?,
            set_app: function("setApp")?,
            warm: function("warm")?,
            create_pipeline: function("createPipeline")?,
            serving: function("serving")?,
            take_metrics: function("takeMetrics")?,
        })
    }
}

/// Gives the bundle's default export to the boot script; returns what is wrong with it.
pub fn set_app(
    js: &mut JsRuntime,
    handlers: &Handlers,
    namespace: &v8::Global<v8::Object>,
) -> Option<String> {
    deno_core::scope!(scope, js);
    let namespace = v8::Local::new(scope, namespace);
    let Some(app) = text(scope, b"default").and_then(|key| namespace.get(scope, key)) else {
        return Some("its default export cannot be read".into());
    };
    let set_app = v8::Local::new(scope, &handlers.set_app);
    let receiver = v8::undefined(scope).into();
    let problem = match set_app.call(scope, receiver, &[app]) {
        Some(problem) => problem.to_rust_string_lossy(scope),
        None => "its default export cannot be read".into(),
    };
    (!problem.is_empty()).then_some(problem)
}

/// Starts the warming request; returns its promise.
pub fn warm(js: &mut JsRuntime, handlers: &Handlers, url: &str) -> Option<v8::Global<v8::Value>> {
    deno_core::scope!(scope, js);
    let warm = v8::Local::new(scope, &handlers.warm);
    let receiver = v8::undefined(scope).into();
    let url = text(scope, url.as_bytes())?;
    warm.call(scope, receiver, &[url]).map(|promise| v8::Global::new(scope, promise))
}

/// Lets the app's render pipeline, if it has one, make its server; returns the promise. `limits` are JSON.
pub fn create_pipeline(
    js: &mut JsRuntime,
    handlers: &Handlers,
    limits: &str,
) -> Option<v8::Global<v8::Value>> {
    deno_core::scope!(scope, js);
    let limits = utf8(scope, limits)?;
    let create = v8::Local::new(scope, &handlers.create_pipeline);
    let receiver = v8::undefined(scope).into();
    create.call(scope, receiver, &[limits]).map(|promise| v8::Global::new(scope, promise))
}

/// Tells the app's render pipeline that clients can connect. `info` is JSON.
pub fn serving(js: &mut JsRuntime, handlers: &Handlers, info: &str) {
    deno_core::scope!(scope, js);
    v8::tc_scope!(let scope, scope);
    let called = utf8(scope, info).and_then(|info| invoke(scope, &handlers.serving, &[info]));
    if called.is_none() {
        let thrown = scope.exception().map(|thrown| thrown.to_rust_string_lossy(scope));
        tracing::error!("onServerStarted could not be called: {}", thrown.unwrap_or_default());
    }
}

/// The app's own metrics as JSON, if they have changed since the last call.
pub fn take_metrics(js: &mut JsRuntime, handlers: &Handlers) -> Option<String> {
    deno_core::scope!(scope, js);
    v8::tc_scope!(let scope, scope);
    let take = v8::Local::new(scope, &handlers.take_metrics);
    let receiver = v8::undefined(scope).into();
    let json = take.call(scope, receiver, &[])?.to_rust_string_lossy(scope);
    (!json.is_empty()).then_some(json)
}

/// Calls the function of each event, a turn each. Stops after one that is terminated, for the caller to see to it
/// before he goes on with the rest.
pub fn deliver(
    js: &mut JsRuntime,
    handlers: &Handlers,
    probe: &Probe,
    events: &mut impl Iterator<Item = Event>,
) {
    deno_core::scope!(scope, js);
    v8::tc_scope!(let scope, scope);
    for event in events {
        if let Event::Start { key, .. } = &event {
            probe.delivering(*key);
        }
        let turn = probe.turn();
        let called = call(scope, handlers, event);
        drop(turn);
        probe.delivering(0);
        if probe.has_overrun() {
            scope.reset();
            return;
        }
        if called.is_none() {
            // The boot script catches what the bundle throws; what comes here is its own.
            let thrown = scope.exception().map(|thrown| thrown.to_rust_string_lossy(scope));
            tracing::error!("an event could not be delivered: {}", thrown.unwrap_or_default());
            scope.reset();
        }
    }
}

fn call(scope: &mut v8::PinScope<'_, '_>, handlers: &Handlers, event: Event) -> Option<()> {
    match event {
        Event::Start { key, head } => {
            let key = number(scope, key);
            let method = text(scope, &head.method)?;
            let url = text(scope, &head.url)?;
            let fields = text(scope, &joined_fields(&head.headers))?;
            let flags = number(scope, head.flags().into());
            let client_ip = text(scope, &head.client_ip)?;
            let context = match &head.options.context {
                None => v8::undefined(scope).into(),
                Some(context) => {
                    v8::String::new_from_utf8(scope, context.as_json(), v8::NewStringType::Normal)?.into()
                }
            };
            invoke(scope, &handlers.start, &[key, method, url, fields, flags, client_ip, context])
        }
        Event::Body { key, bytes } => {
            let key = number(scope, key);
            let chunk = byte_array(scope, bytes)?;
            invoke(scope, &handlers.body, &[key, chunk])
        }
        Event::BodyEnd { key } => {
            let key = number(scope, key);
            invoke(scope, &handlers.body_end, &[key])
        }
        Event::BodyFailed { key } => {
            let key = number(scope, key);
            invoke(scope, &handlers.body_failed, &[key])
        }
        Event::Abort { key } => {
            let key = number(scope, key);
            invoke(scope, &handlers.abort, &[key])
        }
        Event::Cancel { key, reason } => {
            let key = number(scope, key);
            let reason = number(scope, reason as u32);
            invoke(scope, &handlers.cancel, &[key, reason])
        }
        Event::Writable { key } => {
            let key = number(scope, key);
            invoke(scope, &handlers.writable, &[key])
        }
        Event::Reply { key, call, outcome } => {
            let key = number(scope, key);
            let call = number(scope, call);
            let reply = Reply::of(outcome);
            let (status, kind) = (number(scope, reply.status.into()), number(scope, reply.kind));
            let content = if reply.kind == AnswerKind::Response as u32 {
                byte_array(scope, reply.content)?
            } else {
                v8::String::new_from_utf8(scope, &reply.content, v8::NewStringType::Normal)?.into()
            };
            let fields = text(scope, &reply.fields)?;
            invoke(scope, &handlers.reply, &[key, call, status, content, kind, fields])
        }
        Event::ReplyBegins { key, call, kind, head } => {
            let (key, call) = (number(scope, key), number(scope, call));
            let (status, kind) = (number(scope, head.status.into()), number(scope, kind as u32));
            let fields = text(scope, &joined_fields(&head.headers))?;
            invoke(scope, &handlers.reply_begins, &[key, call, status, kind, fields])
        }
        Event::ReplyBody { key, call, bytes } => {
            let (key, call) = (number(scope, key), number(scope, call));
            let chunk = byte_array(scope, bytes)?;
            invoke(scope, &handlers.reply_body, &[key, call, chunk])
        }
        Event::ReplyEnds { key, call, whole } => {
            let (key, call) = (number(scope, key), number(scope, call));
            let whole = v8::Boolean::new(scope, whole).into();
            invoke(scope, &handlers.reply_ends, &[key, call, whole])
        }
    }
}

/// The end of a native call, as the boot script takes it.
struct Reply {
    /// An [`AnswerKind`]; 0 for a failure.
    kind: u32,
    status: u16,
    content: Bytes,
    fields: Vec<u8>,
}

impl Reply {
    fn of(outcome: Outcome) -> Self {
        let value = AnswerKind::Value as u32;
        match outcome {
            Outcome::Value(content) => Self { kind: value, status: 0, content, fields: Vec::new() },
            Outcome::Failed { status, message } => {
                Self { kind: 0, status, content: message.into(), fields: Vec::new() }
            }
            Outcome::Answer { kind, head, body } => {
                let fields = joined_fields(&head.headers);
                Self { kind: kind as u32, status: head.status, content: body, fields }
            }
        }
    }
}

fn invoke(
    scope: &mut v8::PinScope<'_, '_>,
    function: &v8::Global<v8::Function>,
    arguments: &[v8::Local<'_, v8::Value>],
) -> Option<()> {
    let receiver = v8::undefined(scope).into();
    v8::Local::new(scope, function).call(scope, receiver, arguments).map(drop)
}

fn number<'s>(scope: &mut v8::PinScope<'s, '_>, value: u32) -> v8::Local<'s, v8::Value> {
    v8::Integer::new_from_unsigned(scope, value).into()
}

/// Bytes as a string, a character each (a ByteString of Web IDL, section 3.2.10).
fn text<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::Value>> {
    v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal).map(Into::into)
}

fn utf8<'s>(scope: &mut v8::PinScope<'s, '_>, text: &str) -> Option<v8::Local<'s, v8::Value>> {
    v8::String::new_from_utf8(scope, text.as_bytes(), v8::NewStringType::Normal).map(Into::into)
}

fn byte_array<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: Bytes) -> Option<v8::Local<'s, v8::Value>> {
    let length = bytes.len();
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes.into()).make_shared();
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &store);
    v8::Uint8Array::new(scope, buffer, 0, length).map(Into::into)
}

/// Names and values by turns, between line feeds: neither may contain one.
fn joined_fields(fields: &[HeaderField]) -> Vec<u8> {
    let length = fields.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut joined = Vec::with_capacity(length);
    for (name, value) in fields {
        if !joined.is_empty() {
            joined.push(b'\n');
        }
        joined.extend_from_slice(name);
        joined.push(b'\n');
        joined.extend_from_slice(value);
    }
    joined
}
