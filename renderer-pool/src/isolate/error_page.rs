//! What a visitor of an app in development sees of an error: all of it. In production there is no such page.

use std::borrow::Cow;

use deno_core::serde_json;

/// An error, as its page shows it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Its stack, mapped to the sources, and the stacks of its causes.
    pub stack: &'a str,
    /// The lines around the place where it was thrown.
    pub excerpt: Option<&'a str>,
    /// The request's id, which the log has too.
    pub request_id: &'a str,
    /// The request's URL.
    pub url: &'a str,
}

/// A page's type and content, in the form that the client accepts: HTML, JSON or plain text.
pub fn page(shown: Shown<'_>, accept: &str) -> (&'static str, String) {
    let position = |wanted| accept.find(wanted);
    match (position("text/html"), position("application/json")) {
        (Some(html), Some(json)) if json < html => ("application/json", json_text(shown)),
        (None, Some(_)) => ("application/json", json_text(shown)),
        (Some(_), _) => ("text/html; charset=utf-8", html_text(shown)),
        (None, None) => ("text/plain; charset=utf-8", plain_text(shown)),
    }
}

fn message(stack: &str) -> &str {
    stack.lines().next().unwrap_or_default()
}

fn json_text(shown: Shown<'_>) -> String {
    let page = serde_json::json!({
        "error": message(shown.stack),
        "stack": shown.stack.lines().collect::<Vec<_>>(),
        "excerpt": shown.excerpt.map(|excerpt| excerpt.lines().collect::<Vec<_>>()),
        "requestId": shown.request_id,
        "url": shown.url,
    });
    format!("{page}\n")
}

fn plain_text(Shown { stack, excerpt, request_id, url }: Shown<'_>) -> String {
    let excerpt = excerpt.map(|excerpt| format!("\n{excerpt}")).unwrap_or_default();
    format!("500 {stack}\n{excerpt}\nrequest {request_id} {url}\n")
}

fn html_text(Shown { stack, excerpt, request_id, url }: Shown<'_>) -> String {
    let [title, stack, request_id, url] = [message(stack), stack, request_id, url].map(escaped);
    let excerpt =
        excerpt.map(|text| format!("<pre class=\"source\">{}</pre>", escaped(text))).unwrap_or_default();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}}\
         h1{{font-size:1.3rem;color:#b00020;overflow-wrap:anywhere}}\
         pre{{font:13px/1.5 ui-monospace,monospace;overflow-x:auto;padding:1rem;background:#f4f4f4}}\
         .source{{background:#fff6f6;border-left:3px solid #b00020}}footer{{color:#666;font-size:.85rem}}\
         </style></head><body><h1>{title}</h1>{excerpt}<pre>{stack}</pre><footer><p>Request <code>{request_id}</code> \
         to <code>{url}</code>. This page is for development (NODE_ENV=development); in production a visitor sees \
         nothing of it.</p></footer></body></html>\n"
    )
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: Shown<'_> = Shown {
        stack: "Error: <script>alert(1)</script> & \"more\"\n    at f (file:///a.js:1:2)",
        excerpt: Some("> 1 | throw '<b>'\n"),
        request_id: "r-1",
        url: "http://localhost/?a=<i>",
    };

    #[test]
    fn nothing_of_the_error_is_markup() {
        let (content_type, page) = page(SHOWN, "text/html,*/*");
        assert_eq!(content_type, "text/html; charset=utf-8");
        for raw in ["<script>", "<b>", "<i>"] {
            assert!(!page.contains(raw), "{raw}: {page}");
        }
        for shown in ["&lt;script&gt;alert(1)", "throw &#39;&lt;b&gt;", "r-1", "a.js:1:2"] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    #[test]
    fn programs_get_what_they_ask_for() {
        let (content_type, json) = page(SHOWN, "application/json");
        assert_eq!(content_type, "application/json");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["requestId"], "r-1");
        assert_eq!(json["stack"][1], "    at f (file:///a.js:1:2)");
        let (content_type, text) = page(SHOWN, "*/*");
        assert_eq!(content_type, "text/plain; charset=utf-8");
        assert!(text.starts_with("500 Error: <script>") && text.contains("> 1 | throw"), "{text}");
    }
}
