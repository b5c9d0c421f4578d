//! Where paths go: the paths that a pattern stands for, taken through redirects and rewrites. Guards against loops.

use std::borrow::Cow;

use super::pattern::{Named, Pattern, SPLAT, Segment};
use super::tree::{CasePolicy, Policy, TrailingSlash};

/// A set of paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paths {
    /// Each a literal, any text within a prefix and a suffix, or at the end any rest.
    segments: Vec<Segment>,
    /// Whether they end in a slash; `None` where some do and some do not. The root does not.
    has_slash: Option<bool>,
}

/// What a parameter is bound to.
type Bindings<'f> = Vec<(&'f Named, Vec<Segment>)>;

impl Paths {
    /// All paths of a pattern; one set for each choice of its optional segments.
    pub fn of(pattern: &Pattern, policy: Policy) -> Vec<Self> {
        let plain = |segment: &Segment| match segment {
            Segment::Optional(named) => Segment::Param(named.clone()),
            segment => segment.clone(),
        };
        let variants = pattern.variants().into_iter().map(|variant| chosen(pattern, &variant));
        let sets = variants.filter_map(|variant| {
            let has_slash = match slash_of(pattern, &variant, policy) {
                Some(true) if variant.is_empty() => return None,
                has_slash => has_slash,
            };
            Some(Self { segments: variant.into_iter().map(plain).collect(), has_slash })
        });
        sets.collect()
    }

    /// What all of them begin with, in lower case, if that is a literal.
    pub fn first_literal(&self) -> Option<String> {
        match self.segments.first() {
            Some(Segment::Literal(text)) => Some(text.to_ascii_lowercase()),
            // The root alone: no row that begins with a literal takes it.
            None => Some(String::new()),
            _ => None,
        }
    }

    /// Where those of these paths go that `from` matches, when `to` takes their parameters over.
    pub fn through(&self, from: &Pattern, to: &Pattern, policy: Policy) -> Vec<Self> {
        let bound = from.variants().into_iter().filter_map(|variant| {
            let variant = chosen(from, &variant);
            let slashes = self.has_slash.zip(slash_of(from, &variant, policy));
            let mut bindings = Vec::new();
            let fits = slashes.is_none_or(|(has, wants)| has == wants)
                && bind(&self.segments, &variant, policy.case, &mut bindings);
            fits.then_some(bindings)
        });
        bound.map(|bindings| Self::at(filled(to, &bindings), to)).collect()
    }

    /// Those that a target leads to.
    fn at(segments: Vec<Segment>, to: &Pattern) -> Self {
        let has_slash = match segments.first() {
            // A rest may be empty, which leaves the root.
            Some(Segment::Splat(_)) if to.has_trailing_slash() => None,
            first => Some(first.is_some() && to.has_trailing_slash()),
        };
        Self { segments, has_slash }
    }
}

/// The segments of one variant of a pattern.
fn chosen<'p>(pattern: &'p Pattern, variant: &[usize]) -> Vec<&'p Segment> {
    variant.iter().map(|at| &pattern.segments()[*at]).collect()
}

/// Whether paths must end in a slash to match; `None` where that does not count, as for a splat.
fn slash_of(pattern: &Pattern, variant: &[&Segment], policy: Policy) -> Option<bool> {
    let is_open = matches!(variant.last(), Some(Segment::Splat(_)));
    let is_strict = policy.trailing_slash == TrailingSlash::Strict;
    (is_strict && !is_open).then(|| pattern.has_trailing_slash())
}

/// Whether some of the paths match, and what the parameters are then.
fn bind<'f>(paths: &[Segment], from: &[&'f Segment], case: CasePolicy, bindings: &mut Bindings<'f>) -> bool {
    match (paths, from) {
        ([], []) => true,
        (rest, [Segment::Splat(splat)]) => {
            let fits = is_bare(splat)
                || match (rest.first(), rest.last()) {
                    (Some(first), Some(last)) => {
                        agree(ends(first).0, &splat.prefix, case, |a, b| a.starts_with(b))
                            && agree(ends(last).1, &splat.suffix, case, |a, b| a.ends_with(b))
                    }
                    _ => false,
                };
            // What is left of a rest without its ends may be anything.
            let bound = if is_bare(splat) { rest.to_vec() } else { vec![any_rest()] };
            bindings.push((splat, bound));
            fits
        }
        ([Segment::Splat(rest)], []) => is_bare(rest),
        ([Segment::Splat(_)], [first, others @ ..]) => {
            bind_one(&any_segment(), first, case, bindings) && bind(&[any_rest()], others, case, bindings)
        }
        ([path, paths @ ..], [first, others @ ..]) => {
            bind_one(path, first, case, bindings) && bind(paths, others, case, bindings)
        }
        _ => false,
    }
}

fn bind_one<'f>(path: &Segment, from: &'f Segment, case: CasePolicy, bindings: &mut Bindings<'f>) -> bool {
    let named = match from {
        Segment::Literal(text) => {
            let text = folded(text, case);
            return match path {
                Segment::Literal(path) => folded(path, case) == text,
                _ => {
                    let (prefix, suffix) = ends(path);
                    text.starts_with(&*folded(prefix, case)) && text.ends_with(&*folded(suffix, case))
                }
            };
        }
        Segment::Param(named) | Segment::Optional(named) | Segment::Splat(named) => named,
    };
    let (prefix, suffix) = ends(path);
    let fits = agree(prefix, &named.prefix, case, |a, b| a.starts_with(b))
        && agree(suffix, &named.suffix, case, |a, b| a.ends_with(b));
    let bound = match path {
        path if is_bare(named) => path.clone(),
        Segment::Literal(text) if text.len() > named.prefix.len() + named.suffix.len() => {
            let inner = text.get(named.prefix.len()..text.len() - named.suffix.len());
            Segment::Literal(inner.unwrap_or_default().to_owned())
        }
        Segment::Literal(_) => return false,
        _ => any_segment(),
    };
    bindings.push((named, vec![bound]));
    fits
}

/// The target with its parameters.
fn filled(to: &Pattern, bindings: &Bindings<'_>) -> Vec<Segment> {
    let mut segments = Vec::new();
    for segment in to.segments() {
        let named = match segment {
            Segment::Literal(_) => {
                segments.push(segment.clone());
                continue;
            }
            Segment::Param(named) | Segment::Optional(named) | Segment::Splat(named) => named,
        };
        let Some((_, bound)) = bindings.iter().find(|(bound, _)| bound.name == named.name) else { continue };
        match bound.as_slice() {
            bound if is_bare(named) => segments.extend_from_slice(bound),
            [Segment::Literal(text)] => {
                segments.push(Segment::Literal([&*named.prefix, text, &*named.suffix].concat()));
            }
            // Ends alone are known of what is longer, or unknown itself.
            [_] if named.name != SPLAT => segments.push(Segment::Param(named.clone())),
            _ => segments.push(Segment::Splat(named.clone())),
        }
    }
    // Nothing follows what may be any rest.
    if let Some(rest) = segments.iter().position(|segment| matches!(segment, Segment::Splat(_))) {
        segments.truncate(rest + 1);
    }
    segments
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

fn is_bare(named: &Named) -> bool {
    named.prefix.is_empty() && named.suffix.is_empty()
}

fn any_segment() -> Segment {
    Segment::Param(Named { name: String::new(), prefix: String::new(), suffix: String::new() })
}

fn any_rest() -> Segment {
    Segment::Splat(Named { name: SPLAT.into(), prefix: String::new(), suffix: String::new() })
}

fn agree(a: &str, b: &str, case: CasePolicy, holds: impl Fn(&str, &str) -> bool) -> bool {
    let (a, b) = (folded(a, case), folded(b, case));
    holds(&a, &b) || holds(&b, &a)
}

fn folded(text: &str, case: CasePolicy) -> Cow<'_, str> {
    match case {
        CasePolicy::Insensitive => text.to_ascii_lowercase().into(),
        CasePolicy::Sensitive => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// The paths of a set, parameters shown as `*` and rests as `**`.
    fn shown(paths: &Paths) -> String {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => text.clone(),
            Segment::Splat(named) => format!("{}**{}", named.prefix, named.suffix),
            other => format!("{}*{}", ends(other).0, ends(other).1),
        };
        let slash = if paths.has_slash == Some(true) { "/" } else { "" };
        format!("/{}{slash}", paths.segments.iter().map(segment).collect::<Vec<_>>().join("/"))
    }

    fn gone(start: &str, steps: &[(&str, &str)]) -> Vec<String> {
        gone_under(Policy::default(), start, steps)
    }

    fn gone_under(policy: Policy, start: &str, steps: &[(&str, &str)]) -> Vec<String> {
        let mut paths = Paths::of(&pattern(start), policy);
        for (from, to) in steps {
            let through = |paths: &Paths| paths.through(&pattern(from), &pattern(to), policy);
            paths = paths.iter().flat_map(through).collect();
        }
        paths.iter().map(shown).collect()
    }

    #[test]
    fn paths_go_where_their_parameters_lead() {
        for (start, from, to, expected) in [
            ("/a", "/A", "/b", &["/b"][..]),
            ("/a", "/b", "/c", &[]),
            ("/blog/$x", "/blog/$x", "/posts/$x", &["/posts/*"]),
            ("/posts/$x", "/{-$l}/about", "/{-$l}/info", &["/posts/info"]),
            ("/about", "/{-$l}/about", "/{-$l}/info", &["/info"]),
            ("/$", "/$", "/app/$", &["/app/**"]),
            ("/app/$", "/app/$", "/$", &["/**"]),
            ("/$", "/u/$id/{$file}.json", "/$file/$id", &["/*/*"]),
            ("/files/a.json", "/files/{$x}.json", "/raw/{$x}.txt", &["/raw/a.txt"]),
            ("/files/{$x}.xml", "/files/{$x}.json", "/raw/$x", &[]),
            ("/files/$", "/files/doc-{$}.txt", "/d/$", &["/d/**"]),
            ("/files", "/files/doc-{$}.txt", "/d/$", &[]),
            ("/{-$l}/a", "/{-$l}/a", "/{-$l}/b", &["/*/b", "/b"]),
        ] {
            assert_eq!(gone(start, &[(from, to)]), expected, "{start}: {from} -> {to}");
        }
    }

    #[test]
    fn a_slash_at_the_end_tells_paths_apart_where_it_counts() {
        let strict = Policy { trailing_slash: TrailingSlash::Strict, ..Policy::default() };
        for (start, from, to, expected) in [
            ("/a/", "/a/", "/a", &["/a"][..]),
            ("/a", "/a/", "/a", &[]),
            ("/A/", "/a/", "/b/", &["/b/"]),
            ("/a", "/$", "/b/$/", &["/b/a/"]),
            ("/a/", "/$", "/b/$", &["/b/a"]),
            ("/a/$", "/a/b/", "/c", &["/c"]),
            ("/a/$", "/a/b", "/c/", &["/c/"]),
            ("/", "/", "/a/", &["/a/"]),
            ("/{-$l}/", "/{-$l}/", "/{-$l}", &["/*"]),
        ] {
            assert_eq!(gone_under(strict, start, &[(from, to)]), expected, "{start}: {from} -> {to}");
        }
        assert!(gone_under(strict, "/a/", &[("/a/", "/a"), ("/a/", "/a")]).is_empty());
        assert_eq!(gone("/a/", &[("/a/", "/a"), ("/a/", "/a")]), ["/a"]);
        // What a rest leaves may be the root, which has no slash of its own.
        assert_eq!(gone_under(strict, "/$", &[("/$", "/$/"), ("/", "/x")]), ["/x"]);
        assert_eq!(gone_under(strict, "/$", &[("/$", "/$/"), ("/a/", "/x")]), ["/x"]);
    }

    #[test]
    fn letters_of_another_case_are_others_where_that_counts() {
        let sensitive = Policy { case: CasePolicy::Sensitive, ..Policy::default() };
        for (start, from, to, expected) in [
            ("/A", "/A", "/a", &["/a"][..]),
            ("/a", "/A", "/a", &[]),
            ("/$", "/A", "/a", &["/a"]),
            ("/Files/{$x}.TXT", "/Files/{$x}.txt", "/f/$x", &[]),
            ("/Docs/$", "/Docs/$", "/docs/$", &["/docs/**"]),
            ("/docs/$", "/Docs/$", "/docs/$", &[]),
            ("/Doc-a", "/doc-{$}", "/d/$", &[]),
        ] {
            assert_eq!(gone_under(sensitive, start, &[(from, to)]), expected, "{start}: {from} -> {to}");
        }
    }

    #[test]
    fn what_was_learnt_of_a_path_is_not_forgotten() {
        let (blog, about) = (("/blog/$x", "/posts/$x"), ("/{-$l}/about", "/{-$l}/info"));
        assert_eq!(gone("/blog/$x", &[blog, about]), ["/posts/info"]);
        assert!(gone("/blog/$x", &[blog, about, blog]).is_empty());
        assert_eq!(gone("/{-$l}/about", &[about, blog]), ["/posts/info"]);
    }
}
