//! Which app runs, and what it may reach beyond its own files.

use std::path::{Path, PathBuf};

use shared::egress::Egress;
use shared::setup::Access;

use crate::config::read::Reader;

pub(super) fn app(reader: &mut Reader<'_>) -> Option<PathBuf> {
    if !reader.is_given("app") {
        let allowed = "the directory that `vite build` wrote, with client/ and server/server.js";
        let remedy = "say where it is, for example: gateway --app dist";
        reader.refuse("app", "nothing".into(), allowed.into(), remedy.into());
    }
    reader.path("app")
}

pub(super) fn access(reader: &mut Reader<'_>) -> Option<Access> {
    let rules = reader.many("egress", |text| text.parse().ok());
    let egress = rules.and_then(|rules| match Egress::new(rules) {
        Ok(egress) => Some(egress),
        Err(error) => {
            let remedy = "leave out `none`, or the others";
            reader.refuse("egress", "none and other rules".into(), error.to_string(), remedy.into());
            None
        }
    });
    let directories = reader.paths("writable");
    let writable = directories.and_then(|directories| {
        let found: Vec<_> = directories.iter().map(|directory| writable(reader, directory)).collect();
        found.into_iter().collect()
    });
    Some(Access { egress: egress?, own: Vec::new(), writable: writable? })
}

/// A directory without symbolic links on its way; what is allowed cannot be led elsewhere later.
fn writable(reader: &mut Reader<'_>, directory: &Path) -> Option<PathBuf> {
    let allowed = "a directory that is there, other than /";
    let (given, remedy) = match directory.canonicalize() {
        Ok(real) if real.is_dir() && real.parent().is_some() => return Some(real),
        Ok(real) if real.is_dir() => ("/".to_owned(), "name the one directory that the app writes to"),
        Ok(real) => (format!("{}, which is no directory", real.display()), "name the directory around it"),
        Err(error) => (format!("{}: {error}", directory.display()), "create it, or correct the path"),
    };
    reader.refuse("writable", given, allowed.into(), remedy.into());
    None
}
