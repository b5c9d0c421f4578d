//! What a build of the app brings to the gateway itself: its files, and its functions that need no V8. Another build may
//! take its place while requests are answered.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::static_files::index::{Entry, Index};

/// A build of the app.
#[derive(Debug, Default, Clone)]
pub struct Build {
    files: Arc<Index>,
    /// Files of the build before: pages of it that browsers show ask for them.
    before: Option<Arc<Index>>,
    /// Those of the last one that was given up: some renderers may have run it for a moment.
    given_up: Option<Arc<Index>>,
    /// Only what the build has is ever put in, so that a quick hash is safe from those who choose paths.
    direct_functions: HashMap<String, String, foldhash::fast::FixedState>,
}

impl Build {
    /// A build with these files. `direct_functions` are paths of server functions that go to an fn worker directly, and
    /// the functions' names.
    pub fn new(files: Arc<Index>, direct_functions: HashMap<String, String>) -> Self {
        let direct_functions = direct_functions.into_iter().collect();
        Self { files, before: None, given_up: None, direct_functions }
    }

    /// The file at this decoded path. Of other builds only those whose names change with their content.
    pub fn file(&self, path: &str) -> Option<&Arc<Entry>> {
        let mut others = self.before.iter().chain(&self.given_up);
        self.files
            .get(path)
            .or_else(|| others.find_map(|files| files.get(path).filter(|entry| entry.is_immutable())))
    }

    /// The native function that answers this path.
    pub fn direct_function(&self, path: &str) -> Option<&str> {
        self.direct_functions.get(path).map(String::as_str)
    }
}

/// The build that is served, for all gateway threads.
#[derive(Debug, Clone, Default)]
pub struct Builds(Arc<ArcSwap<Build>>);

impl Builds {
    /// Serves this one.
    pub fn new(build: Build) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(build)))
    }

    /// The one that is served now.
    pub fn current(&self) -> Guard<Arc<Build>> {
        self.0.load()
    }

    /// Serves `next` from now on, beside the files of the one before. Returns that one.
    pub fn replace(&self, next: Build) -> Arc<Build> {
        let files = Arc::clone(&self.current().files);
        self.0.swap(Arc::new(Build { before: Some(files), ..next }))
    }

    /// Gives the present one up and serves `before` again, beside its files.
    pub fn restore(&self, before: &Build) {
        let given_up = Some(Arc::clone(&self.current().files));
        self.0.store(Arc::new(Build { given_up, ..before.clone() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::static_files::index::IndexSettings;

    fn build(files: &[&str]) -> Build {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let settings = IndexSettings { base_path: String::new(), memory: 1 << 20 };
        Build::new(Arc::new(Index::of(dir.path(), &settings).unwrap()), HashMap::new())
    }

    #[test]
    fn hashed_files_of_the_build_before_stay_and_others_go_with_it() {
        let builds = Builds::new(build(&["assets/app-Bx3kd9Qz.js", "robots.txt"]));
        let first = builds.replace(build(&["assets/app-C1fk20aP.js"]));
        let has = |path: &str| builds.current().file(path).is_some();
        assert!(has("/assets/app-Bx3kd9Qz.js") && has("/assets/app-C1fk20aP.js") && !has("/robots.txt"));
        builds.replace(build(&["assets/app-D7rt55mM.js"]));
        assert!(!has("/assets/app-Bx3kd9Qz.js") && has("/assets/app-C1fk20aP.js"));
        let second = builds.replace(build(&["assets/app-E2gg11wW.js", "ads.txt"]));
        builds.restore(&second);
        assert!(has("/assets/app-D7rt55mM.js") && has("/assets/app-C1fk20aP.js"), "as before");
        assert!(has("/assets/app-E2gg11wW.js") && !has("/ads.txt"), "pages of it may have been served");
        builds.restore(&first);
        assert!(has("/robots.txt") && !has("/assets/app-C1fk20aP.js"));
    }
}
