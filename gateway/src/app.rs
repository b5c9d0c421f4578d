//! The app: the directory that `vite build` wrote, checked before anything starts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use shared::message::control::LoadFailure;

/// An app whose files are where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its directory, absolute and without symbolic links.
    pub dir: PathBuf,
    /// The patterns of its routes, as far as its manifest tells.
    pub routes: Vec<String>,
    /// Paths of server functions that need no V8, and the native functions that answer them.
    pub direct_functions: HashMap<String, String>,
}

/// What `@isopod/app/vite` writes beside `client/` and `server/`; a plain build has none.
const MANIFEST: &str = "isopod.json";

/// The layout of the manifest that is understood here.
const MANIFEST_FORMAT: u64 = 1;

/// The part of the manifest that the gateway needs.
#[derive(Debug, Default, serde::Deserialize)]
struct Manifest {
    format: u64,
    #[serde(default)]
    routes: Vec<String>,
    #[serde(default)]
    functions: Functions,
}

/// The server functions that native functions answer.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Functions {
    /// The path of server functions, with a slash at its end.
    base: String,
    /// The native functions that need no V8, by their ids.
    direct: HashMap<String, String>,
}

impl App {
    /// Checks the app in `dir`.
    ///
    /// # Errors
    /// [`AppError`] names the file and the remedy.
    pub fn open(dir: &Path) -> Result<Self, AppError> {
        let problem =
            |file: PathBuf, problem: String, remedy: String| Err(AppError { file, problem, remedy });
        let absolute = match dir.canonicalize() {
            Ok(absolute) if absolute.is_dir() => absolute,
            Ok(_) => {
                let remedy = "point --app to the directory that `vite build` wrote, not to a file in it";
                return problem(dir.into(), "is not a directory".into(), remedy.into());
            }
            Err(error) => {
                let remedy =
                    "run `vite build` in the app, or point --app to the directory that it wrote (dist)";
                return problem(dir.into(), format!("cannot be opened: {error}"), remedy.into());
            }
        };
        let bundle = absolute.join("server/server.js");
        if !bundle.is_file() {
            return problem(bundle, "is not there, or not a file".into(), bundle_remedy(&absolute));
        }
        let client = absolute.join("client");
        if !client.is_dir() {
            let remedy = "run `vite build` again: it writes client/ beside server/";
            return problem(client, "is not there, or not a directory".into(), remedy.into());
        }
        let manifest = manifest(&absolute)?;
        let Functions { base, direct } = manifest.functions;
        let direct_functions = direct.into_iter().map(|(id, name)| (format!("{base}{id}"), name)).collect();
        Ok(Self { dir: absolute, routes: manifest.routes, direct_functions })
    }

    /// Names the build: the same for the same bundle, another for any other.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub fn build_id(&self) -> Result<String, AppError> {
        const SHOWN_BYTES: usize = 8;
        let file = self.dir.join("server/server.js");
        // A changed chunk has a new name, which its importers hold, and so on up to this file.
        let bundle = std::fs::read(&file).map_err(|error| AppError {
            file,
            problem: format!("cannot be read: {error}"),
            remedy: "make it readable for this user, or run `vite build` again".into(),
        })?;
        let digest = Sha256::digest(&bundle);
        Ok(digest.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The directory of the static files.
    pub fn client_dir(&self) -> PathBuf {
        self.dir.join("client")
    }
}

/// What the build knows of itself. A manifest that is not understood is of another version: its app runs all the
/// same.
fn manifest(dir: &Path) -> Result<Manifest, AppError> {
    let file = dir.join(MANIFEST);
    let problem = |problem: String| AppError {
        file: file.clone(),
        problem,
        remedy: "run `vite build` again, or remove the file: it is not needed to serve the app".into(),
    };
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Manifest::default()),
        Err(error) => return Err(problem(format!("cannot be read: {error}"))),
    };
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| problem(format!("is no manifest: {error}")))?;
    if manifest.format != MANIFEST_FORMAT {
        tracing::warn!(
            format = manifest.format,
            "the app's manifest is of another version: routes and direct functions are not told apart"
        );
        return Ok(Manifest::default());
    }
    Ok(manifest)
}

/// What to do about a bundle that is not there; people often name the folder beside or above the right one.
fn bundle_remedy(dir: &Path) -> String {
    let near = [dir.join("dist"), dir.parent().unwrap_or(dir).to_owned(), dir.join(".output")];
    match near.iter().find(|near| near.join("server/server.js").is_file()) {
        Some(near) => format!("there is one in {}: --app {}", near.display(), near.display()),
        None => "run `vite build` in the app, and point --app to the directory that it wrote (dist)".into(),
    }
}

/// The app cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the app cannot run\n    file:    {}\n    problem: {problem}\n    to do:   {remedy}", .file.display())]
pub struct AppError {
    /// The file at fault.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl From<LoadFailure> for AppError {
    fn from(failure: LoadFailure) -> Self {
        Self { file: failure.file.into(), problem: failure.problem, remedy: failure.remedy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn a_build_is_accepted() {
        let dir = app(&["server/server.js", "client/favicon.ico"]);
        assert!(App::open(dir.path()).is_ok());
    }

    #[test]
    fn another_bundle_is_another_build() {
        let dir = app(&["server/server.js", "client/a"]);
        let id = || App::open(dir.path()).unwrap().build_id().unwrap();
        let before = id();
        assert_eq!((before.len(), before == id()), (16, true));
        std::fs::write(dir.path().join("server/server.js"), "1").unwrap();
        assert_ne!(before, id());
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        for (files, file) in [
            (&["client/a"][..], "server/server.js"),
            (&["server/server.js/x", "client/a"], "server/server.js"),
            (&["server/server.js"], "client"),
        ] {
            let dir = app(files);
            let error = App::open(dir.path()).unwrap_err();
            assert!(error.file.ends_with(file), "{error}");
            assert!(error.remedy.contains("vite build"), "{error}");
        }
        let error = App::open(Path::new("/nowhere/dist")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/dist"), "{error}");
    }

    #[test]
    fn the_manifest_tells_of_routes_and_need_not_be_there() {
        let dir = app(&["server/server.js", "client/a"]);
        assert_eq!(App::open(dir.path()).unwrap().routes, [""; 0]);
        let write = |text: &str| std::fs::write(dir.path().join("isopod.json"), text).unwrap();
        write("{\"format\":1,\"routes\":[\"/\",\"/threads/$id\"],\"immutable\":[]}");
        assert_eq!(App::open(dir.path()).unwrap().routes, ["/", "/threads/$id"]);
        write("{\"format\":2,\"routes\":[\"/\"]}");
        assert!(App::open(dir.path()).unwrap().routes.is_empty());
        write("{");
        let error = App::open(dir.path()).unwrap_err();
        assert!(error.file.ends_with("isopod.json") && error.problem.contains("no manifest"), "{error}");
    }

    #[test]
    fn direct_functions_are_those_of_the_manifest() {
        let dir = app(&["server/server.js", "client/a"]);
        assert!(App::open(dir.path()).unwrap().direct_functions.is_empty());
        let manifest = dir.path().join("isopod.json");
        let json = r#"{"format":1,"functions":{"base":"/_serverFn/","direct":{"abc":"threads.list"}}}"#;
        std::fs::write(&manifest, json).unwrap();
        let functions = App::open(dir.path()).unwrap().direct_functions;
        assert_eq!(functions, HashMap::from([("/_serverFn/abc".to_owned(), "threads.list".to_owned())]));
        std::fs::write(&manifest, "{").unwrap();
        assert_eq!(App::open(dir.path()).unwrap_err().file, manifest);
    }

    #[test]
    fn the_folder_above_is_forgiven_with_a_hint() {
        let dir = app(&["dist/server/server.js", "dist/client/a"]);
        let error = App::open(dir.path()).unwrap_err();
        assert!(error.remedy.ends_with("dist"), "{error}");
    }
}
