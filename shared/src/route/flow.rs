//! Where paths go: the paths that a pattern stands for, taken through redirects and rewrites. Guards against loops.

use super::pattern::{Named, Pattern, SPLAT, Segment};

/// A set of paths: its segments, each a literal, any text within a prefix and a suffix, or at the end any rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Paths(Vec<Segment>);

/// What a parameter is bound to.
type Bindings<'f> = Vec<(&'f Named, Vec<Segment>)>;

impl Paths {
    /// All paths of a pattern; one set for each choice of its optional segments.
    pub fn of(pattern: &Pattern) -> Vec<Self> {
        let plain = |at: usize| match &pattern.segments()[at] {
            Segment::Optional(named) => Segment::Param(named.clone()),
            segment => segment.clone(),
        };
        pattern.variants().into_iter().map(|variant| Self(variant.into_iter().map(plain).collect())).collect()
    }

    /// What all of them begin with, in lower case, if that is a literal.
    pub fn first_literal(&self) -> Option<String> {
        match self.0.first() {
            Some(Segment::Literal(text)) => Some(folded(text)),
            // The root alone: no row that begins with a literal takes it.
            None => Some(String::new()),
            _ => None,
        }
    }

    /// Where those of these paths go that `from` matches, when `to` takes their parameters over. Letters of either
    /// case are one.
    pub fn through(&self, from: &Pattern, to: &Pattern) -> Vec<Self> {
        let variants = from.variants().into_iter();
        let bound = variants.filter_map(|variant| {
            let from: Vec<&Segment> = variant.into_iter().map(|at| &from.segments()[at]).collect();
            let mut bindings = Vec::new();
            bind(&self.0, &from, &mut bindings).then_some(bindings)
        });
        bound.map(|bindings| Self(filled(to, &bindings))).collect()
    }
}

/// Whether some of the paths match, and what the parameters are then.
fn bind<'f>(paths: &[Segment], from: &[&'f Segment], bindings: &mut Bindings<'f>) -> bool {
    match (paths, from) {
        ([], []) => true,
        (rest, [Segment::Splat(splat)]) => {
            let fits = is_bare(splat)
                || match (rest.first(), rest.last()) {
                    (Some(first), Some(last)) => {
                        agree(ends(first).0, &splat.prefix, |a, b| a.starts_with(b))
                            && agree(ends(last).1, &splat.suffix, |a, b| a.ends_with(b))
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
            bind_one(&any_segment(), first, bindings) && bind(&[any_rest()], others, bindings)
        }
        ([path, paths @ ..], [first, others @ ..]) => {
            bind_one(path, first, bindings) && bind(paths, others, bindings)
        }
        _ => false,
    }
}

fn bind_one<'f>(path: &Segment, from: &'f Segment, bindings: &mut Bindings<'f>) -> bool {
    let named = match from {
        Segment::Literal(text) => {
            return match path {
                Segment::Literal(path) => path.eq_ignore_ascii_case(text),
                _ => {
                    let (prefix, suffix) = ends(path);
                    folded(text).starts_with(&folded(prefix)) && folded(text).ends_with(&folded(suffix))
                }
            };
        }
        Segment::Param(named) | Segment::Optional(named) | Segment::Splat(named) => named,
    };
    let (prefix, suffix) = ends(path);
    let fits = agree(prefix, &named.prefix, |a, b| a.starts_with(b))
        && agree(suffix, &named.suffix, |a, b| a.ends_with(b));
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

fn agree(a: &str, b: &str, holds: impl Fn(&str, &str) -> bool) -> bool {
    let (a, b) = (folded(a), folded(b));
    holds(&a, &b) || holds(&b, &a)
}

fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
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
        format!("/{}", paths.0.iter().map(segment).collect::<Vec<_>>().join("/"))
    }

    fn gone(start: &str, steps: &[(&str, &str)]) -> Vec<String> {
        let mut paths = Paths::of(&pattern(start));
        for (from, to) in steps {
            paths = paths.iter().flat_map(|paths| paths.through(&pattern(from), &pattern(to))).collect();
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
    fn what_was_learnt_of_a_path_is_not_forgotten() {
        let (blog, about) = (("/blog/$x", "/posts/$x"), ("/{-$l}/about", "/{-$l}/info"));
        assert_eq!(gone("/blog/$x", &[blog, about]), ["/posts/info"]);
        assert!(gone("/blog/$x", &[blog, about, blog]).is_empty());
        assert_eq!(gone("/{-$l}/about", &[about, blog]), ["/posts/info"]);
    }
}
