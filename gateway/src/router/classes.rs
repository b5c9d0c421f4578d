//! Which of the app's routes a path belongs to, as far as the build's manifest tells: for metrics alone.
//!
//! The label is the pattern and never the path. There are at most [`MAX_CLASSES`] of them; the rest is one.

use shared::route::{Pattern, Policy, Tree, TreeBuilder};

/// The most patterns that are told apart.
pub const MAX_CLASSES: usize = 500;

/// The label of paths that match no pattern, or one beyond [`MAX_CLASSES`].
const OTHER: &str = "other";

/// The app's routes.
#[derive(Debug)]
pub struct RouteClasses {
    tree: Tree<u32>,
    labels: Vec<String>,
}

impl RouteClasses {
    /// The classes of these patterns, which are below `base_path`: empty, or without a slash at its end. Those that cannot be read, or that match the same paths as an earlier one, are
    /// left out: the app's own router knows what it does with them.
    pub fn of(routes: &[String], base_path: &str) -> Self {
        let mut builder = TreeBuilder::new(Policy::default());
        let mut labels = Vec::new();
        for text in routes {
            let whole = if text == "/" && !base_path.is_empty() {
                base_path.to_owned()
            } else {
                format!("{base_path}{text}")
            };
            let Ok(pattern) = Pattern::parse(&whole) else {
                tracing::debug!(pattern = text, "a route of the manifest is not told apart in metrics");
                continue;
            };
            let Ok(number) = u32::try_from(labels.len().min(MAX_CLASSES)) else { continue };
            if builder.insert(pattern, number).is_ok() && labels.len() < MAX_CLASSES {
                labels.push(text.clone());
            }
        }
        if !labels.is_empty() {
            labels.push(OTHER.to_owned());
        }
        Self { tree: builder.build(), labels }
    }

    /// The class of a path; `None` when the manifest tells of no routes.
    pub fn class(&self, path: &str) -> Option<u32> {
        let other = u32::try_from(self.labels.len()).ok()?.checked_sub(1)?;
        Some(self.tree.find(path).map_or(other, |found| (*found.value).min(other)))
    }

    /// The pattern of this class; `None` for those that are not told apart.
    pub fn pattern(&self, class: u32) -> Option<&str> {
        let (_, patterns) = self.labels.split_last()?;
        patterns.get(usize::try_from(class).ok()?).map(String::as_str)
    }

    /// The labels of the classes, by number.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label<'a>(classes: &'a RouteClasses, path: &str) -> Option<&'a str> {
        classes.class(path).map(|class| &*classes.labels()[class as usize])
    }

    #[test]
    fn a_path_is_known_by_its_pattern() {
        let routes = ["/", "/threads/$id", "/threads/$name", "/bad$", "/files/$"].map(str::to_owned);
        let classes = RouteClasses::of(&routes, "");
        assert_eq!(label(&classes, "/"), Some("/"));
        assert_eq!(label(&classes, "/threads/7"), Some("/threads/$id"));
        assert_eq!(label(&classes, "/files/a/b"), Some("/files/$"));
        assert_eq!(label(&classes, "/wp-login.php"), Some("other"));
        assert_eq!(classes.labels().len(), 4);
        assert_eq!(RouteClasses::of(&[], "").class("/"), None);
        let below = RouteClasses::of(&routes, "/shop");
        assert_eq!(label(&below, "/shop"), Some("/"));
        assert_eq!(label(&below, "/shop/threads/7"), Some("/threads/$id"));
        assert_eq!(label(&below, "/threads/7"), Some("other"));
    }

    #[test]
    fn there_are_never_more_labels_than_allowed() {
        let routes: Vec<String> = (0..2 * MAX_CLASSES).map(|number| format!("/page-{number}")).collect();
        let classes = RouteClasses::of(&routes, "");
        assert_eq!(classes.labels().len(), MAX_CLASSES + 1);
        assert_eq!(label(&classes, "/page-499"), Some("/page-499"));
        assert_eq!(label(&classes, "/page-500"), Some("other"));
        assert_eq!(label(&classes, "/page-999"), Some("other"));
    }
}
