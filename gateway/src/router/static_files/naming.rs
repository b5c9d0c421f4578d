//! What a file's name tells: its content type, and whether the name carries a hash of the content.

/// For files whose content never changes under their name.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// For all others: kept, and asked for again each time.
pub const REVALIDATE: &str = "public, max-age=0, must-revalidate";

/// The length of the hash that Vite puts into a name.
const HASH_BYTES: usize = 8;

/// How long a file may be kept, by its path below `client/`.
pub fn cache_control(path: &str) -> &'static str {
    match path.strip_prefix("assets/") {
        Some(rest) if is_hashed(rest.rsplit('/').next().unwrap_or(rest)) => IMMUTABLE,
        _ => REVALIDATE,
    }
}

/// Whether a name is `name-<hash>.ext` as Vite writes it: a hash of at least eight characters of base64url that
/// is no word. A word that passes would be kept for a year, so that what could be one does not.
fn is_hashed(name: &str) -> bool {
    let Some((stem, _)) = name.split_once('.') else { return false };
    let tail = stem.len().checked_sub(HASH_BYTES).and_then(|at| Some((stem.get(..at)?, stem.get(at..)?)));
    let fixed = tail.filter(|(before, _)| before.ends_with('-')).map(|(_, hash)| hash);
    let longer = stem.rsplit_once('-').map(|(_, hash)| hash).filter(|hash| hash.len() >= HASH_BYTES);
    fixed.is_some_and(looks_random) || longer.is_some_and(looks_random)
}

fn looks_random(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let inner = text.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    is_plain && (inner || text.bytes().any(|byte| byte.is_ascii_digit() || byte == b'_'))
}

/// The content type of a file, by its extension.
pub fn content_type(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = match extension {
        "map" => "application/json",
        // RFC 9239: the one name for scripts.
        "js" | "mjs" | "cjs" => "text/javascript",
        "webmanifest" => "application/manifest+json",
        extension => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
    };
    // Everything that a build writes is UTF-8; without a word on it, browsers guess.
    if known.starts_with("text/") { format!("{known}; charset=utf-8") } else { known.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vites_hashes_are_seen_and_words_are_not() {
        for name in
            ["main-BJ3kX_9a.js", "index-C4-_b2Xy.css", "main-BJ3kX_9a.js.map", "x-0a1b2c3d4e5f6071.woff2"]
        {
            assert_eq!(cache_control(&format!("assets/{name}")), IMMUTABLE, "{name}");
        }
        for name in [
            "logo.svg",
            "my-component.js",
            "user-Document.js",
            "a-b.js",
            "noextension-BJ3kX_9a",
            "short-a1.js",
        ] {
            assert_eq!(cache_control(&format!("assets/{name}")), REVALIDATE, "{name}");
        }
        assert_eq!(cache_control("main-BJ3kX_9a.js"), REVALIDATE);
        assert_eq!(cache_control("assets/deep/main-BJ3kX_9a.js"), IMMUTABLE);
    }

    #[test]
    fn content_types_follow_the_extension() {
        for (path, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.js.map", "application/json"),
            ("b.c/a", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }
}
