use proptest::prelude::*;

use super::*;

fn built(patterns: &[&'static str], policy: Policy) -> Tree<&'static str> {
    let mut builder = TreeBuilder::new(policy);
    for text in patterns {
        let inserted = builder.insert(Pattern::parse(text).unwrap(), *text);
        inserted.unwrap_or_else(|conflict| panic!("{conflict}"));
    }
    builder.build()
}

fn tree(patterns: &[&'static str]) -> Tree<&'static str> {
    built(patterns, Policy::default())
}

fn found(tree: &Tree<&'static str>, path: &str) -> Option<&'static str> {
    tree.find(path).map(|found| *found.value)
}

fn shown(tree: &Tree<&'static str>, path: &str) -> String {
    let found = tree.find(path).unwrap_or_else(|| panic!("{path} matches nothing"));
    let params = found.params(path);
    params.iter().map(|param| format!("{}={}", param.name, param.value())).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_most_specific_pattern_wins_whatever_the_order() {
    let mut patterns = [
        "/",
        "/users",
        "/users/me",
        "/users/user-{$id}",
        "/users/{$id}.json",
        "/users/$id/posts",
        "/users/$id/{-$tab}",
        "/files/$",
        "/files/readme",
        "/{-$locale}/about",
        "/$",
    ];
    for turn in 0..patterns.len() {
        patterns.rotate_left(1);
        let tree = tree(&patterns);
        for (path, expected) in [
            ("/", "/"),
            ("/users", "/users"),
            ("/users/", "/users"),
            ("/users/me", "/users/me"),
            ("/users/7/posts", "/users/$id/posts"),
            ("/users/7/likes", "/users/$id/{-$tab}"),
            ("/users/user-7", "/users/user-{$id}"),
            ("/users/7.json", "/users/{$id}.json"),
            ("/users/7/a/b", "/$"),
            ("/files", "/files/$"),
            ("/files/readme", "/files/readme"),
            ("/files/a/b", "/files/$"),
            ("/about", "/{-$locale}/about"),
            ("/de/about", "/{-$locale}/about"),
            ("/else", "/$"),
        ] {
            assert_eq!(found(&tree, path), Some(expected), "{path}, turn {turn}");
        }
    }
}

#[test]
fn an_earlier_literal_counts_more_than_a_later_one() {
    let tree = tree(&["/$a/b", "/a/$b", "/{-$x}/$y/c", "/$p/$q"]);
    assert_eq!(found(&tree, "/a/b"), Some("/a/$b"));
    assert_eq!(found(&tree, "/x/b"), Some("/$a/b"));
    // A literal at the end counts more than a parameter in place of an optional.
    assert_eq!(found(&tree, "/x/c"), Some("/{-$x}/$y/c"));
    assert_eq!(found(&tree, "/x/y"), Some("/$p/$q"));
}

#[test]
fn a_dead_end_is_left_again() {
    let tree = tree(&["/a/b/c", "/a/$x/d", "/$x/b/e"]);
    assert_eq!(found(&tree, "/a/b/d"), Some("/a/$x/d"));
    assert_eq!(found(&tree, "/a/b/e"), Some("/$x/b/e"));
    assert_eq!(found(&tree, "/a/b/f"), None);
    assert_eq!(found(&tree, "/a/b"), None);
}

#[test]
fn parameters_come_decoded_once() {
    let tree = tree(&["/u/$id", "/p/pre-{$id}.json", "/f/$", "/d/doc-{$}.txt", "/{-$l}/x/{-$m}"]);
    for (path, expected) in [
        ("/u/a%20b", "id=a b"),
        ("/u/a%2Fb", "id=a/b"),
        ("/u/%2525", "id=%25"),
        ("/u/%C3%A9", "id=\u{e9}"),
        ("/p/pre-7.json", "id=7"),
        ("/P/PRE-A.JSON", "id=A"),
        ("/f", "_splat="),
        ("/f/a/b%20c", "_splat=a/b c"),
        ("/d/doc-a/b.txt", "_splat=a/b"),
        ("/d/doc-a.txt", "_splat=a"),
        ("/x", ""),
        ("/de/x", "l=de"),
        ("/x/tab", "m=tab"),
        ("/de/x/tab", "l=de m=tab"),
    ] {
        assert_eq!(shown(&tree, path), expected, "{path}");
    }
}

#[test]
fn what_is_badly_encoded_or_empty_matches_nothing() {
    let tree = tree(&["/u/$id", "/p/{$id}.json", "/{$}.txt"]);
    for path in ["", "u/1", "/u/%", "/u/%zz", "/u/%ff", "/u//", "/u", "/p/.json", "/.txt"] {
        assert_eq!(found(&tree, path), None, "{path}");
    }
}

#[test]
fn policies_say_what_is_equal() {
    let strict = Policy { case: CasePolicy::Sensitive, trailing_slash: TrailingSlash::Strict };
    let tree = built(&["/a", "/b/", "/A", "/s/$"], strict);
    assert_eq!(found(&tree, "/a"), Some("/a"));
    assert_eq!(found(&tree, "/A"), Some("/A"));
    assert_eq!(found(&tree, "/a/"), None);
    assert_eq!(found(&tree, "/b/"), Some("/b/"));
    assert_eq!(found(&tree, "/b"), None);
    assert_eq!(found(&tree, "/s/x/"), Some("/s/$"));
    let loose = built(&["/a"], Policy::default());
    assert_eq!(found(&loose, "/A/"), Some("/a"));
}

#[test]
fn what_is_ambiguous_does_not_get_in() {
    for (first, second) in [
        ("/a", "/A"),
        ("/a", "/a/"),
        ("/users/$id", "/users/$name"),
        ("/f/{$a}.json", "/f/{$b}.json"),
        ("/f/$", "/f/{$}"),
        ("/about", "/{-$l}/about"),
        ("/{-$a}/x", "/{-$b}/x"),
        ("/{-$a}", "/{-$a}/{-$b}"),
    ] {
        let mut builder = TreeBuilder::new(Policy::default());
        builder.insert(Pattern::parse(first).unwrap(), 1).unwrap();
        let conflict = builder.insert(Pattern::parse(second).unwrap(), 2).unwrap_err();
        assert_eq!((conflict.existing.as_str(), conflict.new.as_str()), (first, second));
        assert_eq!(builder.build().len(), 1);
    }
    // These differ in how specific they are, which decides.
    tree(&["/a/$x", "/a/{-$y}", "/a/$"]);
}

/// The best of all patterns, found without a tree: each variant tried for itself.
fn slow(patterns: &[Pattern], path: &str) -> Option<Score> {
    let (parts, _) = parts(path)?;
    let scores = patterns.iter().flat_map(|pattern| {
        let variants = pattern.variants();
        let parts = &parts;
        variants.into_iter().filter_map(move |variant| {
            let mut score = Score::default();
            for (at, segment) in variant.iter().enumerate() {
                let part = parts.get(at);
                match &pattern.segments()[*segment] {
                    Segment::Literal(text) if part.is_some_and(|part| part.eq_ignore_ascii_case(text)) => {
                        score.literals |= bit(at);
                    }
                    Segment::Param(named) if part.is_some_and(|part| fits(named, part)) => {
                        score.params |= bit(at)
                    }
                    Segment::Optional(named) if part.is_some_and(|part| fits(named, part)) => {
                        score.optionals |= bit(at);
                    }
                    Segment::Splat(_) => return Some(score),
                    _ => return None,
                }
            }
            (variant.len() == parts.len()).then_some(Score { ends: true, ..score })
        })
    });
    scores.max()
}

fn fits(named: &Named, part: &str) -> bool {
    let around = Around { prefix: named.prefix.clone(), suffix: named.suffix.clone() };
    around.fits(part)
}

fn segment_text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "$x", "a{$x}", "{$x}c", "{-$x}"])
}

fn pattern_text() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment_text(), 0..4), any::<bool>()).prop_map(|(segments, splat)| {
        let named = segments.iter().enumerate().map(|(at, text)| text.replace('x', &format!("x{at}")));
        let mut text: String = named.map(|segment| format!("/{segment}")).collect();
        if splat {
            text.push_str("/$");
        }
        if text.is_empty() { "/".into() } else { text }
    })
}

proptest! {
    #[test]
    fn the_tree_finds_what_trying_each_pattern_finds(
        texts in prop::collection::vec(pattern_text(), 1..12),
        path in "(/[abc]{1,2}){0,5}",
    ) {
        let mut builder = TreeBuilder::new(Policy::default());
        let mut kept = Vec::new();
        for text in texts {
            let pattern = Pattern::parse(&text).unwrap();
            if builder.insert(pattern.clone(), ()).is_ok() {
                kept.push(pattern);
            }
        }
        let tree = builder.build();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let (parts, has_slash) = parts(&path).unwrap();
        let quick = Search { tree: &tree, parts: &parts, has_slash }.from(0, 0, Score::default());
        prop_assert_eq!(quick.map(|(score, _)| score), slow(&kept, &path), "{:?} {}", kept, path);
    }

    #[test]
    fn no_path_is_a_panic(path in "/[a/%2f$.{}-]{0,20}") {
        let tree = tree(&["/a/$x", "/{-$l}/a{$x}", "/f/{$}.a", "/$"]);
        if let Some(found) = tree.find(&path) {
            let _ = found.params(&path);
        }
    }
}
