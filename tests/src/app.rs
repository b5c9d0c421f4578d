//! What a cluster serves.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// An app of `tests/apps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// With React.
    ThreadsReact,
    /// With Solid.
    ThreadsSolid,
    /// [`App::ThreadsReact`] as `vite build` writes it by itself, with source maps for the server.
    PlainThreadsReact,
    /// [`App::ThreadsSolid`] likewise.
    PlainThreadsSolid,
    /// With React Router and a render pipeline, without Start.
    NotesReactRouter,
    /// With Solid, TanStack Router and a render pipeline, without Start.
    NotesSolid,
    /// TanStack Start behind each kind of server entry, chosen by the header `x-entry`.
    StartEntries,
    /// Packages of Node's world, from a plain build.
    ThreadsNode,
}

impl App {
    /// The directory that `vite build` wrote. `ISOPOD_APPS_DIR` says where the apps are; default: `tests/apps`.
    ///
    /// # Panics
    /// When the app is not built.
    pub fn dist(self) -> PathBuf {
        let name = match self {
            Self::ThreadsReact => "threads-react",
            Self::ThreadsSolid => "threads-solid",
            Self::PlainThreadsReact => "threads-react/plain",
            Self::PlainThreadsSolid => "threads-solid/plain",
            Self::NotesReactRouter => "notes-react-router",
            Self::NotesSolid => "notes-solid",
            Self::StartEntries => "start-entries",
            Self::ThreadsNode => "threads-node",
        };
        let apps = std::env::var_os("ISOPOD_APPS_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("apps"), PathBuf::from);
        let dist = apps.join(name).join("dist");
        assert!(
            dist.join("server/server.js").is_file(),
            "{name} is not built in {}: run `cargo xtask apps`",
            dist.display()
        );
        dist
    }
}

/// A small app, written for one test into a directory of its own.
#[derive(Debug)]
pub struct Bundle {
    dir: TempDir,
}

impl Bundle {
    /// An app whose `server/server.js` is `source`, and whose client folder is empty.
    pub fn new(source: &str) -> Self {
        Self::without_server().file("server/server.js", source)
    }

    /// An app whose handler is the body of `async fetch(request)`; `url` is the request's parsed URL there. The
    /// request that warms an isolate does not reach it.
    pub fn fetch(body: &str) -> Self {
        Self::new(&format!(
            "export default {{ async fetch(request) {{
               if (request.headers.has('x-isopod-warmup')) return new Response()
               const url = new URL(request.url)\n{body}\n}} }}\n"
        ))
    }

    /// An app whose `server/server.js` is `source`, which may import `./isopod/pipeline/index.js`: the built
    /// `@isopod/app/pipeline`.
    ///
    /// # Panics
    /// When it is not built.
    pub fn pipeline(source: &str) -> Self {
        let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../renderer-pool/js/dist");
        let mut bundle = Self::new(source);
        for folder in ["pipeline", "shared"] {
            let files = std::fs::read_dir(dist.join(folder))
                .unwrap_or_else(|error| panic!("@isopod/app is not built ({error}): run `cargo xtask apps`"));
            for file in files.map(|file| file.unwrap().path()) {
                if file.extension().is_some_and(|extension| extension == "js") {
                    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                    bundle =
                        bundle.file(&format!("server/isopod/{folder}/{name}"), std::fs::read(&file).unwrap());
                }
            }
        }
        bundle
    }

    /// A client folder and nothing else.
    pub fn without_server() -> Self {
        let dir = tempfile::Builder::new().prefix("isopod-bundle-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("client")).unwrap();
        Self { dir }
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The directory that `--app` names.
#[derive(Debug)]
pub enum Served {
    /// A built app.
    Built(App),
    /// A small one, removed with this value.
    Written(Bundle),
    /// Whatever is there.
    At(PathBuf),
}

impl Served {
    pub(crate) fn dir(&self) -> PathBuf {
        match self {
            Self::Built(app) => app.dist(),
            Self::Written(bundle) => bundle.path().into(),
            Self::At(path) => path.clone(),
        }
    }
}

impl From<App> for Served {
    fn from(app: App) -> Self {
        Self::Built(app)
    }
}

impl From<Bundle> for Served {
    fn from(bundle: Bundle) -> Self {
        Self::Written(bundle)
    }
}

impl From<&Path> for Served {
    fn from(path: &Path) -> Self {
        Self::At(path.into())
    }
}
