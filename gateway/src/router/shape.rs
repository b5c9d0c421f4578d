//! What requests of one route have in common, where nobody has said what the routes are. Pure.

/// Segments that are looked at.
const MOST_SEGMENTS: usize = 8;

/// Segments beyond this length, in bytes, are no names of pages.
const LONGEST_NAME: usize = 40;

/// Behind this segment stands the id of one of TanStack Start's server functions, a hash: each is a route of its own.
const BEFORE_FUNCTION: &str = "_serverFn";

/// The longest id of a function, in bytes: twice what builds make.
const LONGEST_FUNCTION: usize = 128;

/// A path with a `*` for what looks like an identifier: segments with a digit, an escape or great length, and everything
/// behind the eighth segment. `/threads/17` and `/threads/18` have the shape `/threads/*`. The ids of server functions are kept.
pub fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len().min(MOST_SEGMENTS * LONGEST_NAME));
    let mut segments = path.split('/').skip(1);
    let mut is_function = false;
    for segment in segments.by_ref().take(MOST_SEGMENTS) {
        let is_plain = |byte: u8| byte.is_ascii() && byte != b'%';
        let is_name = if is_function {
            segment.len() <= LONGEST_FUNCTION && segment.bytes().all(is_plain)
        } else {
            segment.len() <= LONGEST_NAME
                && segment.bytes().all(|byte| is_plain(byte) && !byte.is_ascii_digit())
        };
        is_function = segment == BEFORE_FUNCTION;
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
    fn server_functions_do_not_look_alike() {
        let id = "0123456789abcdef".repeat(4);
        for base in ["", "/shop"] {
            let path = format!("{base}/_serverFn/{id}");
            assert_eq!(shape(&path), path);
        }
        assert_eq!(shape("/_serverFn/a%20b"), "/_serverFn/*");
        assert_eq!(shape(&format!("/_serverFn/{}", "a".repeat(129))), "/_serverFn/*");
        assert_eq!(shape("/_serverFn/1/2"), "/_serverFn/1/*");
    }

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
