//! Whether two patterns share a path. Errs on the side of yes: it guards against loops.

use super::pattern::{Named, Pattern, Segment};

/// Whether there may be a path that both match, letters of either case taken as one.
pub fn overlap(a: &Pattern, b: &Pattern) -> bool {
    let chosen = |pattern: &Pattern, variant: &[usize]| -> Vec<Segment> {
        variant.iter().map(|at| pattern.segments()[*at].clone()).collect()
    };
    let (a_variants, b_variants) = (a.variants(), b.variants());
    a_variants.iter().any(|left| {
        let left = chosen(a, left);
        b_variants.iter().any(|right| rests_overlap(&left, &chosen(b, right)))
    })
}

fn rests_overlap(a: &[Segment], b: &[Segment]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([Segment::Splat(splat), ..], rest) | (rest, [Segment::Splat(splat), ..]) => {
            splat_overlaps(splat, rest)
        }
        ([a, a_rest @ ..], [b, b_rest @ ..]) => segments_overlap(a, b) && rests_overlap(a_rest, b_rest),
        _ => false,
    }
}

fn splat_overlaps(splat: &Named, rest: &[Segment]) -> bool {
    if splat.prefix.is_empty() && splat.suffix.is_empty() {
        return true;
    }
    match (rest.first(), rest.last()) {
        (Some(first), Some(last)) => {
            let (before, _) = ends(first);
            let (_, after) = ends(last);
            agree(before, &splat.prefix, |a, b| a.starts_with(b))
                && agree(after, &splat.suffix, |a, b| a.ends_with(b))
        }
        _ => false,
    }
}

fn segments_overlap(a: &Segment, b: &Segment) -> bool {
    if let (Segment::Literal(a), Segment::Literal(b)) = (a, b) {
        return a.eq_ignore_ascii_case(b);
    }
    let ((a_prefix, a_suffix), (b_prefix, b_suffix)) = (ends(a), ends(b));
    agree(a_prefix, b_prefix, |a, b| a.starts_with(b)) && agree(a_suffix, b_suffix, |a, b| a.ends_with(b))
}

/// What a segment certainly begins and ends with.
fn ends(segment: &Segment) -> (&str, &str) {
    match segment {
        Segment::Literal(text) => (text, text),
        Segment::Param(named) | Segment::Optional(named) | Segment::Splat(named) => {
            (&named.prefix, &named.suffix)
        }
    }
}

fn agree(a: &str, b: &str, holds: fn(&str, &str) -> bool) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    holds(&a, &b) || holds(&b, &a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_share_a_path_are_seen() {
        for (a, b, expected) in [
            ("/a", "/A", true),
            ("/a", "/b", false),
            ("/a/$x", "/a/b", true),
            ("/a/$x", "/a", false),
            ("/$", "/", true),
            ("/a/$", "/b/$", false),
            ("/{-$l}/about", "/about", true),
            ("/{-$l}/about", "/de/about", true),
            ("/post-{$id}", "/post-7", true),
            ("/post-{$id}", "/page-7", false),
            ("/{$id}.json", "/{$id}.xml", false),
            ("/{$id}.json", "/a{$id}", true),
            ("/{$}.txt", "/a/b.txt", true),
            ("/{$}.txt", "/a/b.pdf", false),
        ] {
            let (a, b) = (Pattern::parse(a).unwrap(), Pattern::parse(b).unwrap());
            assert_eq!(overlap(&a, &b), expected, "{a} {b}");
            assert_eq!(overlap(&b, &a), expected, "{b} {a}");
        }
    }
}
