//! `markdown.render`: markdown to HTML that is safe to put into a page.

use fn_workers::{Context, FunctionError, Invalid};
use pulldown_cmark::{Event, Options, Parser, html};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The longest text in bytes.
const MAX_MARKDOWN_BYTES: usize = 64 * 1024;

/// Room for a text of which every byte is escaped (`\u0007`).
pub const BODY_LIMIT_BYTES: usize = 6 * MAX_MARKDOWN_BYTES + 1024;

/// What is rendered.
#[derive(Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Render {
    markdown: String,
}

impl Render {
    /// Refuses what is too long.
    pub fn check(&self) -> Result<(), Invalid> {
        match self.markdown.len() {
            0..=MAX_MARKDOWN_BYTES => Ok(()),
            bytes => {
                let problem = format!("has {bytes} bytes, the limit is {MAX_MARKDOWN_BYTES}");
                Err(Invalid::field("markdown", problem))
            }
        }
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize, TS)]
pub struct Rendered {
    html: String,
    words: usize,
}

/// Renders CommonMark with tables and strikethrough. Scripts, event handlers and unsafe links are removed.
pub async fn render(input: Render, context: Context) -> Result<Rendered, FunctionError> {
    context.blocking(move || to_html(&input.markdown)).await
}

fn to_html(markdown: &str) -> Rendered {
    let mut words = 0;
    let events = Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let counted = events.inspect(|event| {
        if let Event::Text(text) | Event::Code(text) = event {
            words += text.split_whitespace().count();
        }
    });
    let mut unsafe_html = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut unsafe_html, counted);
    Rendered { html: ammonia::clean(&unsafe_html), words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_and_its_words_are_counted() {
        let rendered = to_html("# Two words\n\nand *three* `more`\n");
        assert_eq!(rendered.html, "<h1>Two words</h1>\n<p>and <em>three</em> <code>more</code></p>\n");
        assert_eq!(rendered.words, 5);
    }

    #[test]
    fn nothing_that_runs_is_left() {
        let attack = "<script>steal()</script>\n\n[x](javascript:steal()) <img src=x onerror=steal()>";
        let html = to_html(attack).html;
        for forbidden in ["<script", "javascript:", "onerror"] {
            assert!(!html.contains(forbidden), "{html}");
        }
    }

    #[test]
    fn a_text_beyond_the_limit_is_refused_by_name() {
        let long = Render { markdown: "a".repeat(MAX_MARKDOWN_BYTES + 1) };
        let invalid = long.check().unwrap_err();
        assert_eq!(invalid.fields().next().unwrap().0, "markdown");
        assert!(Render { markdown: "a".repeat(MAX_MARKDOWN_BYTES) }.check().is_ok());
    }
}
