//! One path in TanStack Router's syntax.

use std::fmt;

/// The most optional segments of one pattern: each doubles the paths that it stands for.
pub const MAX_OPTIONALS: usize = 4;

/// The most segments of one pattern.
pub const MAX_SEGMENTS: usize = 64;

/// The name of what a splat matches.
pub const SPLAT: &str = "_splat";

/// One segment of a pattern. Prefix and suffix stand around the parameter in the same segment; they are decoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text and nothing else.
    Literal(String),
    /// One segment that is not empty.
    Param(Named),
    /// One segment, or none.
    Optional(Named),
    /// All that is left, slashes included; without prefix and suffix also nothing.
    Splat(Named),
}

/// The variable part of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// The parameter's name; [`SPLAT`] for a splat.
    pub name: String,
    /// What stands before it in its segment.
    pub prefix: String,
    /// What stands after it; for a splat at the end of the path.
    pub suffix: String,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
    has_trailing_slash: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with a slash.
    #[error("it does not begin with a slash")]
    NotAbsolute,
    /// `//`.
    #[error("it has an empty segment")]
    EmptySegment,
    /// `.` or `..`: no request's path has one.
    #[error("it has a dot segment, which no request's path has")]
    DotSegment,
    /// A `?`, `#`, `%`, backslash, space or control character.
    #[error("it holds {0:?}: patterns are decoded paths, without query and fragment")]
    Character(char),
    /// A bracket or brace that is not closed, or that nothing opens.
    #[error("a bracket or brace in {0:?} has no partner; [[] and [{{] stand for themselves")]
    Unbalanced(String),
    /// Braces around what is no parameter, or two parameters in one segment.
    #[error("{0:?} is none of $name, {{$name}}, {{-$name}} and $, with one prefix and one suffix at most")]
    Segment(String),
    /// A parameter's name is not made of letters, digits, `_` and `-`.
    #[error("the parameter's name {0:?} must be letters, digits, _ and -, and begin with a letter or _")]
    Name(String),
    /// Two parameters with one name.
    #[error("two parameters are called {0:?}")]
    Twice(String),
    /// Something follows a splat.
    #[error("a splat takes all that is left, and something follows it")]
    AfterSplat,
    /// More than [`MAX_OPTIONALS`].
    #[error("it has more than {MAX_OPTIONALS} optional segments")]
    TooManyOptionals,
    /// More than [`MAX_SEGMENTS`].
    #[error("it has more than {MAX_SEGMENTS} segments")]
    TooLong,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let has_trailing_slash = rest.ends_with('/');
        let body = rest.strip_suffix('/').unwrap_or(rest);
        if has_trailing_slash && body.is_empty() {
            return Err(PatternError::EmptySegment);
        }
        let mut segments: Vec<Segment> = Vec::new();
        if !body.is_empty() {
            for part in body.split('/') {
                if matches!(segments.last(), Some(Segment::Splat(_))) {
                    return Err(PatternError::AfterSplat);
                }
                segments.push(segment(part)?);
            }
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(PatternError::TooLong);
        }
        let optionals = segments.iter().filter(|segment| matches!(segment, Segment::Optional(_))).count();
        if optionals > MAX_OPTIONALS {
            return Err(PatternError::TooManyOptionals);
        }
        let names: Vec<&str> = segments.iter().filter_map(|segment| segment.name()).collect();
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(PatternError::Twice((*name).to_owned()));
        }
        Ok(Self { text: text.to_owned(), segments, has_trailing_slash })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it was written with a slash at its end; the root is not.
    pub fn has_trailing_slash(&self) -> bool {
        self.has_trailing_slash
    }

    /// The names of its parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The paths that it stands for once each optional segment is either there or not; those that have the first
    /// optional come before those that do not. Each is a list of positions in [`Self::segments`].
    pub fn variants(&self) -> Vec<Vec<usize>> {
        let mut variants: Vec<Vec<usize>> = vec![Vec::new()];
        for (at, segment) in self.segments.iter().enumerate() {
            let is_optional = matches!(segment, Segment::Optional(_));
            variants = variants
                .into_iter()
                .flat_map(|without| {
                    let with = without.iter().copied().chain([at]).collect();
                    if is_optional { vec![with, without] } else { vec![with] }
                })
                .collect();
        }
        variants
    }
}

impl Segment {
    /// The parameter's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param(named) | Self::Optional(named) | Self::Splat(named) => Some(&named.name),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A character of a segment: one that was escaped by brackets means itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Letter {
    char: char,
    escaped: bool,
}

fn segment(part: &str) -> Result<Segment, PatternError> {
    let letters = letters(part)?;
    let is = |letter: &Letter, char: char| letter.char == char && !letter.escaped;
    let plain = |letters: &[Letter]| letters.iter().map(|letter| letter.char).collect::<String>();
    if letters.is_empty() {
        return Err(PatternError::EmptySegment);
    }
    let wrong = || PatternError::Segment(part.to_owned());
    let special =
        |letters: &[Letter]| letters.iter().any(|letter| "${}".contains(letter.char) && !letter.escaped);
    if is(&letters[0], '$') {
        let rest = &letters[1..];
        if special(rest) {
            return Err(wrong());
        }
        return match rest.is_empty() {
            true => Ok(Segment::Splat(named(SPLAT.into(), &[], &[]))),
            false => Ok(Segment::Param(named(name(&plain(rest))?, &[], &[]))),
        };
    }
    let Some(open) = letters.iter().position(|letter| is(letter, '{')) else {
        if letters.iter().any(|letter| is(letter, '}')) {
            return Err(PatternError::Unbalanced(part.to_owned()));
        }
        if special(&letters) {
            return Err(wrong());
        }
        let text = plain(&letters);
        if text == "." || text == ".." {
            return Err(PatternError::DotSegment);
        }
        return Ok(Segment::Literal(text));
    };
    let close = letters.iter().position(|letter| is(letter, '}'));
    let close =
        close.filter(|close| *close > open).ok_or_else(|| PatternError::Unbalanced(part.to_owned()))?;
    let (prefix, inner, suffix) = (&letters[..open], &letters[open + 1..close], &letters[close + 1..]);
    if special(prefix) || special(suffix) {
        return Err(wrong());
    }
    let optional = inner.first().is_some_and(|letter| is(letter, '-'));
    let inner = if optional { &inner[1..] } else { inner };
    if !inner.first().is_some_and(|letter| is(letter, '$')) || special(&inner[1..]) {
        return Err(wrong());
    }
    match (plain(&inner[1..]), optional) {
        (text, true) => Ok(Segment::Optional(named(name(&text)?, prefix, suffix))),
        (text, false) if text.is_empty() => Ok(Segment::Splat(named(SPLAT.into(), prefix, suffix))),
        (text, false) => Ok(Segment::Param(named(name(&text)?, prefix, suffix))),
    }
}

fn named(name: String, prefix: &[Letter], suffix: &[Letter]) -> Named {
    let plain = |letters: &[Letter]| letters.iter().map(|letter| letter.char).collect();
    Named { name, prefix: plain(prefix), suffix: plain(suffix) }
}

fn name(text: &str) -> Result<String, PatternError> {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let fits = starts_well && text.chars().all(plain);
    if fits { Ok(text.to_owned()) } else { Err(PatternError::Name(text.to_owned())) }
}

/// The characters of a segment. What stands in brackets is escaped: `[.]`, `[$]`, `[[]`, `[]]`.
fn letters(part: &str) -> Result<Vec<Letter>, PatternError> {
    let unbalanced = || PatternError::Unbalanced(part.to_owned());
    let mut letters = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        match char {
            '[' => {
                // The bracket that is escaped itself is not the end.
                let end = rest.char_indices().skip(1).find(|(_, char)| *char == ']').map(|(at, _)| at);
                let inner = &rest[..end.ok_or_else(unbalanced)?];
                for char in inner.chars() {
                    letters.push(Letter { char: allowed(char)?, escaped: true });
                }
                rest = &rest[inner.len() + 1..];
            }
            ']' => return Err(unbalanced()),
            char => letters.push(Letter { char: allowed(char)?, escaped: false }),
        }
    }
    Ok(letters)
}

fn allowed(char: char) -> Result<char, PatternError> {
    let refused = matches!(char, '?' | '#' | '%' | '\\' | ' ') || char.is_control();
    if refused { Err(PatternError::Character(char)) } else { Ok(char) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Segment> {
        Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).segments
    }

    fn named(name: &str, prefix: &str, suffix: &str) -> Named {
        Named { name: name.into(), prefix: prefix.into(), suffix: suffix.into() }
    }

    #[test]
    fn each_kind_of_segment_is_read() {
        for (text, expected) in [
            ("/", vec![]),
            ("/about", vec![Segment::Literal("about".into())]),
            ("/$id", vec![Segment::Param(named("id", "", ""))]),
            ("/post-{$id}.json", vec![Segment::Param(named("id", "post-", ".json"))]),
            ("/{-$locale}/a", vec![Segment::Optional(named("locale", "", "")), Segment::Literal("a".into())]),
            ("/$", vec![Segment::Splat(named(SPLAT, "", ""))]),
            ("/doc-{$}.txt", vec![Segment::Splat(named(SPLAT, "doc-", ".txt"))]),
            ("/sitemap[.]xml", vec![Segment::Literal("sitemap.xml".into())]),
            ("/[$]cash/[[]x[]]", vec![Segment::Literal("$cash".into()), Segment::Literal("[x]".into())]),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert!(Pattern::parse("/a/").unwrap().has_trailing_slash());
        assert!(!Pattern::parse("/").unwrap().has_trailing_slash());
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        use PatternError as E;
        let literal = |text: &str| text.to_owned();
        for (text, error) in [
            ("", E::NotAbsolute),
            ("about", E::NotAbsolute),
            ("//", E::EmptySegment),
            ("/a//b", E::EmptySegment),
            ("/a/../b", E::DotSegment),
            ("/[.]", E::DotSegment),
            ("/a?b", E::Character('?')),
            ("/a%20b", E::Character('%')),
            ("/a[.b", E::Unbalanced(literal("a[.b"))),
            ("/a]b", E::Unbalanced(literal("a]b"))),
            ("/{$id", E::Unbalanced(literal("{$id"))),
            ("/$id}", E::Segment(literal("$id}"))),
            ("/{id}", E::Segment(literal("{id}"))),
            ("/{$a}{$b}", E::Segment(literal("{$a}{$b}"))),
            ("/a$b", E::Segment(literal("a$b"))),
            ("/$id.json", E::Name(literal("id.json"))),
            ("/{-$}", E::Name(literal(""))),
            ("/$1", E::Name(literal("1"))),
            ("/$a/$a", E::Twice(literal("a"))),
            ("/$/a", E::AfterSplat),
            ("/{-$a}/{-$b}/{-$c}/{-$d}/{-$e}", E::TooManyOptionals),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(Pattern::parse(&"/a".repeat(MAX_SEGMENTS + 1)), Err(E::TooLong));
    }

    #[test]
    fn variants_fill_the_first_optionals_first() {
        let variants = Pattern::parse("/{-$a}/x/{-$b}").unwrap().variants();
        assert_eq!(variants, [vec![0, 1, 2], vec![0, 1], vec![1, 2], vec![1]]);
    }
}
