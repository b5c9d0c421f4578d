//! What requests of one route have in common, where nobody has said what the routes are. Pure.

/// Segments that are looked at.
const MOST_SEGMENTS: usize = 8;

/// Segments beyond this length, in bytes, are no names of pages.
const LONGEST_NAME: usize = 40;

/// A path with a `*` for what looks like an identifier: segments with a digit, an escape or great length, and everything
/// behind the eighth segment. `/threads/17` and `/threads/18` have the shape `/threads/*`.
pub fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len().min(MOST_SEGMENTS * LONGEST_NAME));
    let mut segments = path.split('/').skip(1);
    for segment in segments.by_ref().take(MOST_SEGMENTS) {
        let is_name = segment.len() <= LONGEST_NAME
            && segment.bytes().all(|byte| !byte.is_ascii_digit() && byte != b'%' && byte.is_ascii());
        shape.push('/');
        shape.push_str(if is_name { segment } else { "*" });
    }
    if segments.next().is_some() {
        shape.push_str("/*");
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_look_alike() {
        for (path, expected) in [
            ("/", "/"),
            ("/about", "/about"),
            ("/threads/17", "/threads/*"),
            ("/threads/17/edit", "/threads/*/edit"),
            ("/users/a%20b", "/users/*"),
            ("/posts/a-very-long-title-that-nobody-would-give-to-a-route", "/posts/*"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/*"),
        ] {
            assert_eq!(shape(path), expected);
        }
    }
}
