//! The apps that an option names.

use xtask::apps::{self, App};
use xtask::workspace::Workspace;

use crate::error::BenchFailure;

/// The app of this name.
///
/// # Errors
/// When there is none.
pub fn app(workspace: &Workspace, name: &str) -> Result<App, BenchFailure> {
    let known = apps::all(workspace)?;
    known.iter().find(|app| app.name == name).cloned().ok_or_else(|| BenchFailure::NoApp {
        name: name.to_owned(),
        known: known.iter().map(|app| app.name.clone()).collect(),
    })
}

/// Those of these names, in their order.
///
/// # Errors
/// When there is no app of one of them.
pub fn apps(workspace: &Workspace, names: &[String]) -> Result<Vec<App>, BenchFailure> {
    names.iter().map(|name| app(workspace, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_app_is_told_beside_those_that_there_are() {
        let workspace = Workspace::find().unwrap();
        let names = ["threads-solid".to_owned(), "threads-vue".to_owned()];
        assert_eq!(apps(&workspace, &names[..1]).unwrap()[0].name, "threads-solid");
        let failure = apps(&workspace, &names).unwrap_err();
        let BenchFailure::NoApp { name, known } = &failure else { panic!("{failure}") };
        assert_eq!(name, "threads-vue");
        assert!(known.iter().any(|known| known == "threads-react"), "{known:?}");
    }
}
